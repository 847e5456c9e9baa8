/*
 * Which control group hierarchies this host has, and where this process is in them. Hierarchies are
 * found by /proc/self/mountinfo and confirmed by the mount's own file system type (statfs), never
 * by the names of folders: other tools leave plain folders with such names.
 *
 * Anybody who builds a plan may use this; everything lives in the caller's arena.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/arena.h"
#include "base/error.h"

struct cgroup_device_loaded;

enum cgroup_controller {
    CGROUP_CPU,
    CGROUP_CPUACCT,
    CGROUP_CPUSET,
    CGROUP_MEMORY,
    CGROUP_DEVICES,
    CGROUP_FREEZER,
    CGROUP_BLKIO, /* "blkio" on v1, "io" on v2 */
    CGROUP_PIDS,
    CGROUP_HUGETLB,
    CGROUP_NET_CLS,
    CGROUP_NET_PRIO,
    CGROUP_PERF_EVENT,
    CGROUP_RDMA,
    CGROUP_MISC,
    CGROUP_CONTROLLERS
};

/* "cpu", …; the v1 name of those that have two. */
const char *cgroup_controller_name(enum cgroup_controller controller);

/* The same, with the v2 name of those that have two. */
const char *cgroup_controller_unified_name(enum cgroup_controller controller);

/* What it is for, in a few words ("how much memory it may take"). */
const char *cgroup_controller_purpose(enum cgroup_controller controller);

/* The set (bit 1 << controller) of a list of names divided by `separator`; other names are passed
 * over. Both names of io are known. */
uint32_t cgroup_controllers_parse(const char *list, char separator);

/* One hierarchy. */
struct cgroup_hierarchy {
    bool unified;         /* v2 */
    uint32_t controllers; /* 1 << enum cgroup_controller; v2: those that may be used here */
    const char *names;    /* v1: "cpu,cpuacct", "name=systemd"; v2: "" */
    const char *mount;    /* where it is mounted */
    const char *root;     /* which cgroup of it is mounted there, "/" for the whole */
    const char *self;     /* our own cgroup, as a path below `mount` ("/" for the mount itself);
                             NULL when it lies outside of what is mounted */
};

struct cgroup_layout {
    struct cgroup_hierarchy *items;
    size_t count;
    bool foreign; /* of another kernel (a guest's): files are not looked at */
    const struct cgroup_device_loaded *loaded; /* a device program, see devices.h; NULL: none */
};

/* The hierarchy that holds the controller; v1 first. NULL when none does. */
const struct cgroup_hierarchy *cgroup_layout_find(
        const struct cgroup_layout *layout, enum cgroup_controller controller);

/* The v2 hierarchy, NULL when there is none. */
const struct cgroup_hierarchy *cgroup_layout_unified(const struct cgroup_layout *layout);

/* "v1", "v2", "hybrid" or "none". */
const char *cgroup_layout_kind(const struct cgroup_layout *layout);

/* What this host has. Errors: those of reading procfs; a host without any is no error. */
int cgroup_layout_detect(struct arena *arena, struct cgroup_layout *ret, struct error *err);

/* Whether the scheduler BFQ is in this kernel, whose groups then have weights of their own: some
 * disk names it among those that it could have. */
bool cgroup_host_has_bfq(void);

/* What a guest has that we boot ourselves: v2 alone, at /sys/fs/cgroup, with every controller. */
void cgroup_layout_guest(struct arena *arena, struct cgroup_layout *ret);

/* What detect() reads, for tests and the fuzzer. `check` says whether a path is a mount of v2
 * (true) or v1; NULL: believed. `controllers` gives the text of the v2 mount's cgroup.controllers.
 */
struct cgroup_layout_source {
    const char *mountinfo;
    const char *self; /* /proc/self/cgroup */
    bool (*check)(const char *path, bool unified, dev_t device);
    const char *(*controllers)(struct arena *arena, const char *mount);
};

/* What detect() does, on the given texts. */
void cgroup_layout_parse(
        struct arena *arena, const struct cgroup_layout_source *source, struct cgroup_layout *ret);
