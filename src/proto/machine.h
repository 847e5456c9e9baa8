/*
 * The description of a machine: what viv-vmm is told to build, as JSON through the record tables.
 * Written by engine/ (and `viv boot`), read by viv-vmm. Plain data; strings live in the arena of
 * whoever read or made it.
 *
 * Files are named by path or, where viv-vmm cannot open them itself any more because it is a
 * sandbox, by the number of a descriptor that it inherits (then `path` only serves messages).
 */
#pragma once

#include "base/record.h"

#define PROTO_CPUS_MAX 64
#define PROTO_DEVICES_MAX 19 /* virtio devices: each has an interrupt pin of its own */

/* A token bucket; 0 means no limit. */
struct proto_rate {
    uint64_t bytes_per_second;
    uint64_t operations_per_second;
};

struct proto_file {
    const char *path;
    struct opt_i64 fd; /* inherited; absent: open the path */
};

struct proto_disk {
    struct proto_file file;
    const char *format; /* "raw", "qcow2"; NULL: found out from the content, qcow2 only by magic */
    const char *serial; /* at most 20 bytes; NULL: "vivN" */
    bool read_only;
    struct proto_rate rate;
    RECORD_LIST(struct proto_file) backing; /* opened files of a qcow2 chain, nearest first */
};

struct proto_net {
    const char *tap;   /* name of a tap device to attach to; with a descriptor it only names that */
    struct opt_i64 fd; /* an open tap queue, or passt's stream socket */
    bool stream;       /* the descriptor is a stream socket with 4-byte length frames (passt) */
    bool spare;        /* nothing is behind it yet, and its link is down: see control.h */
    const char *mac;   /* "02:00:00:00:00:01"; NULL: made from the machine's name */
    uint32_t mtu;      /* 0: not told to the guest */
    struct proto_rate rate;
};

struct proto_shared_file {
    struct proto_file file;
    bool read_only;
};

/* A host folder shared over virtio-fs. */
struct proto_share {
    const char *tag; /* at most 35 bytes; what the guest mounts */
    struct proto_file folder;
    RECORD_LIST(struct proto_shared_file)
    files; /* in place of a folder: single files, by the names "0", "1" … Shown where viv-vmm has a
              cage; without one there are none */
    bool read_only;
    bool fixed;        /* the names in the folder itself stay as they are; below, all may change */
    const char *cache; /* "auto", "fresh" (each look asks the host), "always" (the guest alone
                          changes files), "never"; NULL: auto */
};

/* Guest connections to host port P end at the Unix socket "<path>_P"; a host program reaches guest
 * port P by connecting to "<path>" and sending "CONNECT P\n". */
struct proto_vsock {
    uint64_t cid; /* 3 and more */
    const char *path;
    struct opt_i64 fd;       /* the listening socket for `path` */
    struct opt_i64 agent_fd; /* a connected stream that the guest reaches as host port 1024 */
};

struct proto_console {
    const char *kind;     /* "serial" (16550) or "virtio"; NULL: serial */
    struct opt_i64 input; /* descriptors; absent: none */
    struct opt_i64 output;
};

/* What viv-vmm's own sandbox is made of: it has been started in namespaces of its own. */
struct proto_cage {
    struct opt_i64
            user_namespace; /* joined: its id 0 is what viv-vmm becomes; absent: it is in it */
};

struct proto_machine {
    const char *name;
    const char *accel; /* "auto", "kvm", "emu"; NULL: auto */
    uint32_t cpus;     /* 1 … 64; 0: 1 */
    uint64_t memory;   /* bytes; 0: 256 MiB */
    struct proto_file kernel;
    struct proto_file initrd;
    RECORD_LIST(struct proto_file) modules; /* Multiboot modules; `path` is their command line */
    const char *append;                     /* the kernel's command line */
    struct proto_console console;
    RECORD_LIST(struct proto_disk) disks;
    RECORD_LIST(struct proto_net) nets;
    RECORD_LIST(struct proto_share) shares;
    struct proto_vsock *vsock; /* NULL: none */
    bool no_balloon;           /* free page reporting is on unless this is set */
    bool no_rng;
    bool debug_exit;            /* the port 0xf4: a write of N ends the machine with status N */
    struct opt_i64 report_fd;   /* where the end of the machine is told, one JSON line */
    struct proto_file snapshot; /* go on from here instead of booting: vCPUs and memory are as they
                                   were, what stands behind the devices is what is said here */
    bool snapshot_verified;     /* its memory's checksums were compared before */
    bool portable;              /* show the guest only CPU features that both accelerators have */
    struct proto_cage *cage;    /* NULL: none of its own, as when it is started by hand */
    struct opt_i64 control_fd;  /* commands: a SOCK_SEQPACKET socket, see control.h */
};

extern const struct record proto_machine_record;

/* How a machine ended: the line written to report_fd. */
struct proto_machine_end {
    const char *reason;  /* "poweroff", "reset", "panic", "crash" (triple fault), "exit" (0xf4),
                            "stopped" (asked to), "failed" (viv-vmm's own error) */
    int status;          /* of "exit": what the guest wrote; else 0 */
    const char *message; /* of "failed": the error's text */
};

extern const struct record proto_machine_end_record;

/* Reads a description. All faults at once in the error's text. */
int proto_machine_read(struct json_object *json, struct arena *arena, struct proto_machine *ret,
        struct error *err);

/* Calls `visit` for every descriptor that the description names, so that whoever starts viv-vmm can
 * let it inherit them, or give them other numbers. A field that holds a descriptor belongs here. */
void proto_machine_visit_fds(
        struct proto_machine *machine, void (*visit)(struct opt_i64 *fd, void *data), void *data);
