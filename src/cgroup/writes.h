/*
 * From limits to the files of this host's hierarchies: a pure translation into a list of writes,
 * used by steps.h for a new group and by group.h for an existing one. Knows each resource's files
 * on v1 and v2 and converts values where the two differ. Lists live in the caller's arena.
 */
#pragma once

#include "cgroup/layout.h"
#include "cgroup/limits.h"
#include "cgroup/saved.h"

/* Where each controller's directory of one group is. */
struct cgroup_dirs {
    const char *unified;                     /* v2 directory, NULL: none */
    uint32_t unified_controllers;            /* that may be used in it */
    const char *v1[CGROUP_CONTROLLERS];      /* NULL: not on v1 */
    const char *why_not[CGROUP_CONTROLLERS]; /* why there is neither; NULL: the host has none */
    const char *remedy[CGROUP_CONTROLLERS];
};

/* One write(2) to one file. */
struct cgroup_write {
    enum cgroup_controller controller;
    const char *because; /* the limit, below the pointer of all: "memory/limit" */
    const char *dir, *file, *value;
    const char *other_file, *other_value; /* in place of a file that this kernel lacks; or NULL.
                                             The first is BFQ's, the other the kernel's without */
    bool missing_ok;                      /* no such file has the same effect as this value */
    bool verify; /* the kernel may take the write and do nothing: read it back */
};

/* A limit that this host cannot set. */
struct cgroup_unmet {
    const char *because, *why, *remedy;
};

struct cgroup_writes {
    struct arena *arena;
    struct cgroup_write *items;
    size_t count, capacity;
    struct cgroup_unmet *unmet;
    size_t unmet_count, unmet_capacity;
};

/*
 * Appends the writes for all limits but the device rules (devices.h). What cannot be set goes to
 * `unmet`. `update`: the group exists, so that values which are the start values of a new one are
 * written too. -EINVAL for values that contradict each other or are no file names.
 */
int cgroup_writes_add(struct cgroup_writes *writes, const struct cgroup_limits *limits,
        const struct cgroup_dirs *dirs, bool update, struct error *err);

/* Makes one write; the error says what the kernel's answer means for this file. */
int cgroup_write_apply(const struct cgroup_write *write, struct error *err);

/* The directories of a saved group. */
void cgroup_dirs_of_saved(
        const struct cgroup_saved *saved, struct arena *arena, struct cgroup_dirs *ret);

/* cpu.weight for v1 shares: 2 -> 1, 1024 -> 100, 262144 -> 10000, on a curve through these. */
uint64_t cgroup_weight_of_shares(uint64_t shares);

/* io.weight (1 … 10000) for blkio.weight (10 … 1000). */
uint64_t cgroup_io_weight(uint64_t blkio_weight);
