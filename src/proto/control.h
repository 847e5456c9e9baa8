/*
 * The control socket of viv-vmm: what engine/ asks of a running machine. A SOCK_SEQPACKET socket,
 * connected or listening, whose number viv-vmm is told as `controlFd` (machine.h). One request is
 * one message of JSON, at most PROTO_CONTROL_MAX bytes; each gets one reply, in order. A snapshot's
 * file or a tap may come with the request as a descriptor (SCM_RIGHTS), since viv-vmm is a sandbox
 * and opens no paths.
 *
 *     {"command":"pause"}            the vCPUs stand still when the reply comes
 *     {"command":"resume"}
 *     {"command":"stop"}             the machine ends ("stopped"); the reply comes before
 *     {"command":"stats"}            the reply has "stats"
 *     {"command":"balloon","bytes":N}  asks the guest to give so many bytes back
 *     {"command":"snapshot"}         + one descriptor, opened for reading and writing; the machine
 *                                    is paused for it, and goes on unless "stop" is set. "path"
 *                                    names it in messages: viv-vmm opens it where it can
 *
 *     {"command":"connect","tap":N}  + one descriptor: a tap queue whose frames have a header of
 *                                    PROTO_TAP_HEADER bytes, to stand behind a network device that
 *                                    has nothing behind it. Its link is up then. The reply tells
 *                                    its "device"; -ENOSPC: there is none
 *     {"command":"disconnect","tap":N}  the device behind which that tap is has its link down, and
 *                                    nothing behind it. The reply tells its "device"; -ENODEV
 *
 *     {"ok":true,"state":"running"}
 *     {"ok":false,"errnum":28,"error":"…","state":"paused"}
 *
 * Closing the socket changes nothing for the machine. Plain data; strings live in the arena of
 * whoever read or made it.
 */
#pragma once

#include "base/record.h"

#define PROTO_CONTROL_MAX ((size_t)64 << 10)
#define PROTO_TAP_HEADER 12 /* bytes: struct virtio_net_hdr_v1 */

struct proto_control {
    const char *command; /* "pause", "resume", "stop", "stats", "balloon", "snapshot", "connect",
                            "disconnect" */
    const char *path;    /* of "snapshot", where no descriptor comes along */
    uint64_t bytes;      /* of "balloon": how much the guest is to give back in all */
    const char *label;   /* of "snapshot": written into its header */
    const char *tap;     /* of "connect" and "disconnect": its name, which tells it from others */
    bool stop;           /* of "snapshot": the machine ends once it is written */
};

extern const struct record proto_control_record;

/* An opcode that raised #UD because the CPU does not have it. */
struct proto_unknown {
    const char *name;
    uint64_t count;
};

/* Counts since the start, of one vCPU. */
struct proto_cpu_stats {
    uint64_t exits;        /* times that guest code was left for a device or a host's event */
    uint64_t instructions; /* emu only; 0 under kvm, which does not count them */
};

/* Of one disk, in the description's order. */
struct proto_disk_stats {
    const char *io; /* "io_uring": several transfers at a time; "preadv": one after the other */
    const char *because; /* of "preadv": why there is no io_uring */
    uint64_t requests;   /* served in all */
    uint64_t deepest;    /* the most that were on their way at a time */
};

struct proto_stats {
    const char *accel;
    const char *because; /* why that one: "asked for", or what became of /dev/kvm's self-test */
    RECORD_LIST(struct proto_cpu_stats) cpus;
    RECORD_LIST(struct proto_unknown) unknown; /* emu only */
    RECORD_LIST(struct proto_disk_stats) disks;
    uint64_t memory;   /* bytes that the guest has */
    uint64_t resident; /* of these, in the host's memory now; all, of what is mapped from a snapshot
                          that is not viv-vmm's own, as mincore(2) then does not tell */
    uint64_t inflated; /* of these, in the balloon */
    uint64_t reported; /* bytes that were given back as free, in all */
};

/* Of one network device, in the description's order. */
struct proto_net_device {
    const char *device; /* the Ethernet address that it was made with */
    const char *tap;    /* what is behind it, by name; NULL: nothing, or what has none */
};

struct proto_control_reply {
    bool ok;
    int errnum;                /* of a failure */
    const char *error;         /* of a failure: the text */
    const char *state;         /* "running", "paused", "ending" */
    struct proto_stats *stats; /* of "stats" */
    const char *device; /* of "connect" and "disconnect": the address that the device was made
                           with, "02:56:49:56:01:01" */
    RECORD_LIST(struct proto_net_device) nets; /* of "snapshot": as they are in it */
};

extern const struct record proto_control_reply_record;

/*
 * For engine/: sends a request, with a descriptor unless `fd` is -1, and waits for the reply. A
 * reply that says no becomes the error; so does a viv-vmm that has gone (-ECONNRESET). Strings of
 * `ret`, which may be NULL, live in the arena.
 */
int proto_control_ask(int sock, const struct proto_control *request, int fd, struct arena *arena,
        struct proto_control_reply *ret, struct error *err);

/*
 * For viv-vmm: the next request and the descriptor that came with it (-1: none), the caller's. 0 at
 * the other end's end, 1 for a request. -EINVAL for what is no request, -EMSGSIZE for too much of
 * it; both can be answered.
 */
int proto_control_receive(
        int sock, struct arena *arena, struct proto_control *ret, int *ret_fd, struct error *err);
int proto_control_answer(int sock, const struct proto_control_reply *reply);

/* Reads a request's text. For proto_control_receive() and its fuzzer. */
int proto_control_parse(const char *text, size_t length, struct arena *arena,
        struct proto_control *ret, struct error *err);
