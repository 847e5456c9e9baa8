/*
 * What viv remembers of a sandbox beside the container's own state: meta.json, written when it is
 * made, and exit.json, written when it has ended. Both stand in the sandbox's folder of the store.
 */
#pragma once

#include "base/record.h"

struct sandbox_meta {
    const char *name;  /* the id in the store */
    const char *image; /* "busybox", or the path of the root or bundle */
    struct strv command;
    struct record_map labels;
    const char *isolation; /* "container" or "vm" */
    const char *created;   /* RFC 3339 */
    const char *stop_signal;
    int stop_timeout; /* seconds */
    bool tty;
    bool interactive;
    bool remove;       /* --rm */
    bool confined;     /* the default seccomp profile, where the configuration has none */
    int monitor;       /* pid of the process that watches it */
    uint64_t id_first; /* the range of --userns auto; 0: none */
    const char *log;   /* "json-file" or "none" */
};

struct sandbox_exit {
    int code; /* the workload's, or 128 + the signal that ended it */
    bool oom_killed;
    const char *finished; /* RFC 3339 */
};

/* Written and read in a sandbox's directory; what is read lives in the arena. */
int sandbox_meta_save(int dir_fd, const struct sandbox_meta *meta, struct error *err);
int sandbox_meta_load(int dir_fd, struct arena *arena, struct sandbox_meta *ret, struct error *err);

/* -ENOENT while it has not ended, or its monitor was killed. */
int sandbox_exit_save(int dir_fd, const struct sandbox_exit *end, struct error *err);
int sandbox_exit_load(int dir_fd, struct arena *arena, struct sandbox_exit *ret, struct error *err);
