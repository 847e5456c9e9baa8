/*
 * What viv remembers of a sandbox beside the container's own state: meta.json, what was asked for,
 * written when it is created and by commands that change it; and life.json, how its latest life
 * went, written by the process that watches it. Both stand in the sandbox's record (records.h).
 */
#pragma once

#include "base/record.h"
#include "net/request.h"

#define SANDBOX_ID_LENGTH 64

/* A namespace that is another sandbox's: looked up by name or id at each start. */
struct sandbox_join {
    const char *kind; /* "network", "pid" …, as the OCI names them */
    const char *sandbox;
};

/* A volume that it uses; see volumes.h. */
struct sandbox_volume {
    const char *name;
    const char *destination;
    struct strv options; /* mount options */
    bool copy;           /* a new one is filled from what the root has there */
    bool anonymous;      /* it goes with the sandbox, if that is asked for */
};

/* How it is checked whether the workload is well; see health.h. Zero: the default. */
struct sandbox_check {
    struct strv test; /* "CMD" and words, or "CMD-SHELL" and a line; empty: not at all */
    int64_t interval_ns, timeout_ns, start_period_ns, start_interval_ns;
    int retries;
    const char *on_failure; /* "kill", "restart", "stop": what is done when it is not; NULL */
};

struct sandbox_meta {
    const char *name;  /* that of the folder, whatever the file says: a rename moves the folder */
    const char *id;    /* 64 hexadecimal digits */
    const char *image; /* "busybox", or the path of the root or bundle */
    const char *image_id;     /* the root is laid upon this image of the store; NULL */
    const char *image_folder; /* or upon this folder, the built-in image; NULL */
    struct strv command;
    struct strv entrypoint; /* its first words, where they are the image's or --entrypoint's */
    struct record_map labels;
    const char *isolation; /* "container" or "vm" */
    const char *created;   /* RFC 3339 */
    const char *stop_signal;
    int stop_timeout; /* seconds */
    bool tty;
    bool interactive;
    bool remove;         /* --rm */
    const char *pidfile; /* absolute: where the workload's process id is written; NULL: nowhere */
    const char *log;     /* "json-file", "journald" or "none" */
    struct record_map log_options;
    const char *restart; /* "no", "on-failure", "always", "unless-stopped"; NULL: no */
    int restart_max;     /* of on-failure; 0: no end */
    struct sandbox_check health;

    /* how it is made, each time that it starts */
    const char *bundle;        /* NULL: none */
    const char *user;          /* "name[:group]", looked up inside the root; NULL: as in the spec */
    const char *cgroup_parent; /* NULL: beside each other, "/viv-NAME"; systemd: a slice */
    const char *cgroup_manager; /* "systemd"; NULL and "cgroupfs": by ourselves */
    bool userns_auto;           /* ids of its own */
    bool idmap_root;            /* the root seen through the sandbox's user namespace */
    bool confined;              /* the default seccomp profile, where the configuration has none */
    bool unconfined_devices;    /* --privileged */
    bool cgroup_delegate;       /* it may make control groups below its own */
    RECORD_LIST(struct sandbox_join) joins;
    RECORD_LIST(struct sandbox_volume) volumes;
    struct net_request network;

    /* of a machine */
    const char *accel;  /* "auto", "kvm", "emu"; NULL: auto */
    bool portable;      /* only CPU features that all accelerators have */
    const char *kernel; /* a folder; NULL: the one that came with viv */
};

struct sandbox_life {
    const char *started;  /* RFC 3339; NULL: it was never started */
    const char *finished; /* RFC 3339 */
    bool ended;           /* and `code` is known */
    int code;             /* the workload's, or 128 + the signal that ended it */
    bool oom_killed;
    int restarts;      /* by its policy, since somebody started it */
    bool restarting;   /* it has ended, and is about to be started again */
    const char *error; /* why it could not be started again */
    int monitor;       /* pid of the process that watches it; valid while the record is locked */
    uint64_t id_first; /* the range of --userns auto; 0: none */

    /* of a machine */
    uint64_t root_checksum; /* of its root's disk, where its record is kept; vm_root.h */
    uint64_t passed_output, passed_error; /* how far its output had come at its end: agent_resume */
};

/* Written and read in a sandbox's record; what is read lives in the arena. `durable`: on the disk
 * when this returns. */
int sandbox_meta_save(int dir_fd, const struct sandbox_meta *meta, bool durable, struct error *err);
int sandbox_meta_load(int dir_fd, struct arena *arena, struct sandbox_meta *ret, struct error *err);

/* -ENOENT while it was never started. */
int sandbox_life_save(int dir_fd, const struct sandbox_life *life, struct error *err);
int sandbox_life_load(int dir_fd, struct arena *arena, struct sandbox_life *ret, struct error *err);

/*
 * For a record that is about to be removed: writes into the file that is there instead of replacing
 * it, so that who has opened it before (sandbox_life_open) still learns how it ended.
 */
int sandbox_life_leave(int dir_fd, const struct sandbox_life *life);
int sandbox_life_open(int dir_fd);
int sandbox_life_read(int fd, struct arena *arena, struct sandbox_life *ret, struct error *err);
