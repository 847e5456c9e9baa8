/*
 * The disk counters of cgroup v1 as the kernel writes them: each row of the first family of files
 * that has any. Those of stats.h are the few that v1 and v2 have in common.
 */
#pragma once

#include "cgroup/saved.h"

struct cgroup_blkio_row {
    uint32_t major, minor;
    const char *op; /* "Read", "Write", "Sync", "Async", "Discard", "Total"; "": it has none */
    uint64_t value;
};

struct cgroup_blkio_file {
    const char *name; /* as runc's events call it: "ioServiceBytesRecursive" */
    RECORD_LIST(struct cgroup_blkio_row) rows;
};

#define CGROUP_BLKIO_FILES 8

struct cgroup_blkio_rows {
    struct cgroup_blkio_file files[CGROUP_BLKIO_FILES];
    size_t count; /* 0: the host has no v1 hierarchy of blkio, or nothing was counted */
};

/* Reads them, in runc's order; lists in the arena. */
void cgroup_blkio_read(
        const struct cgroup_saved *saved, struct arena *arena, struct cgroup_blkio_rows *ret);
