/*
 * The words between the host and viv-agent, process 1 of a guest. A connection is a stream (virtio
 * vsock on the guest's side, a Unix socket on the host's) that carries frames: a head of 8 bytes
 * and data. Neither side trusts the other: lengths are capped before anything is kept, an order
 * that makes no sense ends the connection.
 *
 * The guest opens the first connection, to AGENT_PORT of the host, and says HELLO; the host answers
 * WELCOME. All further ones are opened by the host, to AGENT_PORT of the guest. A connection is for
 * one thing:
 *
 *     CREATE  the workload: answered by CREATED; START by STARTED
 *     RESUME  in place of CREATE, on the machine's first connection: the workload that is there, as
 *             the guest goes on from a snapshot and has lost the connection that made it. Answered
 *             by RESUMED, which is what STARTED is to the others
 *     EXEC    one more process in it: answered by STARTED
 *     CALL    something else (struct agent_call): answered by RESULT
 *
 * each of them by FAILED when it failed. From STARTED on the connection carries the process's
 * streams (carry.h), SIGNAL and SIZE to it, and at last EXIT; that of the workload questions for
 * names, too, where the host has said at which address they are asked: ASK from the guest, ANSWER
 * to it, as datagrams, each of which may be lost.
 */
#pragma once

#include <stdint.h>

#include "base/buf.h"
#include "base/record.h"

#define AGENT_VERSION 2
#define AGENT_PORT 1024
#define AGENT_NAMES_PORT 53 /* of name servers, by datagrams */

#define AGENT_DATA_MAX 65536u            /* bytes of a stream in one frame */
#define AGENT_TEXT_MAX ((size_t)4 << 20) /* bytes of JSON in one frame */
#define AGENT_WINDOW ((size_t)256 << 10) /* bytes of a stream on their way, see carry.h */
#define AGENT_STREAMS 3                  /* standard input, output, error */

enum agent_type {
    AGENT_HELLO = 1,
    AGENT_WELCOME,
    AGENT_CREATE,
    AGENT_CREATED,
    AGENT_START,
    AGENT_STARTED,
    AGENT_RESUME,
    AGENT_RESUMED,
    AGENT_EXEC,
    AGENT_CALL,
    AGENT_RESULT,
    AGENT_FAILED,
    AGENT_EXIT,
    AGENT_SIGNAL, /* a uint32_t: the number */
    AGENT_SIZE,   /* two uint16_t: columns, lines */
    AGENT_DATA,   /* bytes of a stream */
    AGENT_END,    /* of a stream */
    AGENT_CREDIT, /* a uint32_t: so many bytes of a stream were taken on */
    AGENT_ASK,    /* the guest's: a question to the name server, a message of RFC 1035 */
    AGENT_ANSWER, /* what the server has said to one */
    AGENT_TYPES
};

struct agent_frame {
    enum agent_type type;
    unsigned stream;  /* of DATA, END and CREDIT; else 0 */
    const char *data; /* in the buffer that it was taken from */
    size_t length;
};

/* Adds a frame to a buffer. */
void agent_put(
        struct buf *out, enum agent_type type, unsigned stream, const void *data, size_t length);

/*
 * Looks at the first `length` bytes of what was received. 1 and the frame, with `*ret_used` bytes
 * to be dropped; 0 when it is not all there yet; -EPROTO for what cannot be one.
 */
int agent_take(const char *data, size_t length, struct agent_frame *ret, size_t *ret_used);

/* The numbers of SIGNAL and CREDIT, and of SIZE; -EPROTO. */
int agent_number(const struct agent_frame *frame, uint32_t *ret);
int agent_size(const struct agent_frame *frame, uint16_t *ret_columns, uint16_t *ret_lines);

/* ---- messages -------------------------------------------------------------------------------- */

struct agent_hello {
    uint32_t version;
    const char *release; /* the guest's kernel */
    uint32_t last_capability;
};

/* What tells this guest from others that go on from the same snapshot. */
struct agent_welcome {
    uint32_t version;
    const char *seed; /* hexadecimal: for the random number generator */
    int64_t seconds, nanoseconds;
};

/* A compiled seccomp filter, so that guest and host need not know the same system calls. */
struct agent_filter {
    const char *code; /* hexadecimal: struct sock_filter */
    uint32_t flags;
};

/* A host folder that the guest mounts before anything else: bind mounts of the configuration start
 * there. */
struct agent_share {
    const char *tag;
    const char *path; /* in the guest */
    bool read_only;
};

/* A file of the host's, by content, where it cannot be shared: bind mounts start there too. */
struct agent_file {
    const char *path; /* in the guest */
    const char *data; /* hexadecimal */
    uint32_t mode, uid, gid;
};

/* A route by an interface. */
struct agent_route {
    const char *to;      /* "10.0.0.0/8", "::/0" */
    const char *gateway; /* NULL: on the link */
    const char *source;  /* NULL: the kernel chooses */
    uint32_t metric;
    bool onlink;
};

/* How the Ethernet addresses of devices begin that are spare when the machine boots: out of the
 * workload's sight, until one becomes an interface. */
#define AGENT_SPARE_DEVICES "02:56:49:56:01:"

/* One network device: found by the Ethernet address that it was made with. */
struct agent_interface {
    const char *device; /* the address that the device was made with: says which one is meant */
    const char *mac;    /* the one that it is to have */
    const char *name;
    uint32_t mtu;                           /* 0: the kernel's */
    struct strv addresses;                  /* "10.1.2.3/24" */
    RECORD_LIST(struct agent_route) routes; /* in their order */
};

struct agent_create {
    const char *id;
    const char *config; /* config.json for the guest: root and sources are the guest's paths */
    const char *digest; /* of the plan that the host has worked out; NULL: not checked */
    struct agent_filter *filter;
    uint64_t root_size; /* of the first disk, in bytes: it may be another than at boot */
    const char *root;   /* "disk": the first disk, under an overlay; "share": the share "root" */
    const char *upper; /* of "disk": the share whose "upper" and "work" the overlay writes to; NULL:
                          what is written ends with the machine */
    RECORD_LIST(struct agent_share) shares;
    RECORD_LIST(struct agent_file) files;
    RECORD_LIST(struct agent_interface) interfaces;
    const char *resolver; /* the loopback address at which the agent passes on questions for names;
                             NULL: none */
    bool wait;            /* for START; else it runs at once, and STARTED follows */
    bool interactive;     /* standard input is carried */
    bool delegate;        /* it may make control groups */
    bool unmasked_devices;
    uint64_t
            before; /* steps of the plan that are the host's: they count in the numbers of errors */
    uint64_t fail_at; /* for tests: the number of the step that fails; 0: none */
};

/*
 * How far the workload's output has come on the host's side, in bytes since its start. What the
 * guest still has of it from there on, as it knows that of AGENT_WINDOW bytes, comes again: so that
 * nothing written before the snapshot is lost or comes twice. `known` false: the host cannot say,
 * and gets all that it has not acknowledged.
 */
struct agent_resume {
    bool known;
    uint64_t output, error;
};

/* Where the streams go on. */
struct agent_resumed {
    uint64_t output, error;
};

struct agent_exec {
    const char *process; /* process.json */
    const char *user;    /* looked up in the sandbox's root; NULL: as in the process */
    struct agent_filter *filter;
    bool interactive;
};

/* What a CALL asks. */
struct agent_call {
    const char *verb;      /* "ps", "pause", "resume", "kill", "update", "stats", "poweroff";
                              "connect": a spare network device becomes an interface; "disconnect":
                              the reverse, by its device alone; "route": addresses and routes of an
                              interface that is there, by its name */
    int signal;            /* of kill */
    bool all;              /* of kill */
    const char *resources; /* of update: linux.resources as JSON */
    struct agent_interface *interface; /* of connect, disconnect, route */
};

struct agent_failed {
    int errnum;
    int status; /* see struct error */
    const char *text;
};

struct agent_exit {
    int code; /* 128 and the signal's number when one ended it */
    bool oom_killed;
    uint32_t said; /* by viv-shim: bytes that it has added to the workload's standard error */
};

extern const struct record agent_hello_record, agent_welcome_record, agent_create_record,
        agent_resume_record, agent_resumed_record, agent_exec_record, agent_call_record,
        agent_failed_record, agent_exit_record;

/* Adds a message. */
void agent_put_record(
        struct buf *out, enum agent_type type, const struct record *record, const void *message);
void agent_put_json(struct buf *out, enum agent_type type, struct json_object *json);
void agent_put_error(struct buf *out, const struct error *err);

/* Reads one; texts are in the arena. */
int agent_read(const struct agent_frame *frame, const struct record *record, struct arena *arena,
        void *ret, struct error *err);

/* Bytes as hexadecimal text, and back: -EINVAL. */
const char *agent_hex(struct arena *arena, const void *data, size_t length);
int agent_unhex(struct arena *arena, const char *text, void **ret, size_t *ret_length);

/* The error that a FAILED carries. Returns its negative number. */
int agent_read_error(const struct agent_frame *frame, struct error *err);

/* ---- waiting for a frame --------------------------------------------------------------------- */

/* One side's end outside of a loop. Nothing behind the frame that is waited for is received, so
 * that the connection can be handed on. */
struct agent_link {
    int fd; /* the caller's */
    struct buf in;
};
void agent_link_free(struct agent_link *link);

/* Sends what is in the buffer, and empties it. */
int agent_send(struct agent_link *link, struct buf *out, struct error *err);

/* Waits for a frame, which stays valid until the next call: -ETIMEDOUT, -ECONNRESET when the other
 * side is gone, -EPROTO. `timeout_ms` below 0: for ever. */
int agent_wait(struct agent_link *link, int timeout_ms, struct agent_frame *ret, struct error *err);

/* Waits for a frame of that type; a FAILED gives its error. */
int agent_expect(struct agent_link *link, int timeout_ms, enum agent_type type,
        struct agent_frame *ret, struct error *err);
