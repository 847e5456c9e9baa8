/*
 * The parts of what a workload may do, as plain data; struct security (security.h) puts them
 * together. Names are those of the configuration and are checked when a step is made of them.
 */
#pragma once

#include <stdint.h>

#include "base/record.h"
#include "base/str.h"

struct security_rlimit {
    const char *type; /* "RLIMIT_NOFILE" */
    uint64_t soft;    /* UINT64_MAX: no limit */
    uint64_t hard;
};

/* sched_setattr(2); runtime-spec config.md#scheduler. */
struct security_scheduler {
    const char *policy; /* "SCHED_OTHER" … */
    int32_t nice;
    int32_t priority;
    struct strv flags;                  /* "SCHED_FLAG_RESET_ON_FORK" … */
    uint64_t runtime, deadline, period; /* nanoseconds, SCHED_DEADLINE */
    struct opt_u64 util_min, util_max;  /* 0 to 1024: utilization clamps (uclamp) */
};

struct security_io_priority {
    const char *class_name; /* "IOPRIO_CLASS_BE" … */
    int32_t priority;       /* 0 to 7 */
};

struct security_personality {
    const char *domain; /* "LINUX" or "LINUX32" */
    struct strv flags;  /* "ADDR_NO_RANDOMIZE" … of personality(2) */
};

struct security_memory_policy {
    const char *mode;  /* "MPOL_INTERLEAVE" … */
    const char *nodes; /* "0-1,3"; "" or NULL: none */
    struct strv flags; /* "MPOL_F_STATIC_NODES" … */
};

/* Opt-in: what below the root the workload may reach; landlock(7). */
struct security_landlock_rule {
    const char *path;
    const char *access; /* "r": read, "x": read and execute, "w": everything */
};

struct security_landlock {
    RECORD_LIST(struct security_landlock_rule) rules;
};

struct security_user {
    uint32_t uid;
    uint32_t gid;
    RECORD_LIST(uint32_t) additional_gids;
    bool keep_groups;     /* the supplementary groups of viv itself stay */
    struct opt_u64 umask; /* absent: left alone */
};

/* The notify listener; runtime-spec config-linux.md#seccomp, "containerProcessState". */
struct security_listener {
    const char *path;     /* listenerPath; NULL: none */
    const char *metadata; /* listenerMetadata, or NULL */
    const char *state;    /* JSON text of the container's state; its pid is filled in when sent */
    const char *version;  /* "ociVersion" of the message */
};
