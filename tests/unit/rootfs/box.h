/* A root for the tests, built by plans in a sandbox of their own; see ../sandbox.h. */
#pragma once

#include "base/str.h"
#include "rootfs/rootfs.h"
#include "sandbox.h"
#include "test.h"

#define MOUNTS_MAX 16

/* A sandbox with a root; mounts are added by add_mount. */
struct box {
    struct sandbox sandbox;
    struct rootfs rootfs;
    struct rootfs_mount mounts[MOUNTS_MAX];
};

/* A mount and a PID namespace, and a procfs; more is the test's. */
void box_begin(struct box *box);
void box_end(struct box *box);
void box_mount(struct box *box, const char *target, const char *type, const char *source,
        const char *options);

/* All namespaces but cgroup and time, the root idmapped to 65536 ids from 200000. */
void box_userns(struct box *box);

/* Appends the steps up to, but without, the entering. */
int box_build(struct box *box, struct error *err);

/* Builds, enters, runs the function inside. */
int box_run(struct box *box, void (*inside)(void *), void *data);

/* Functions for inside: the mount at a point; a sign of life. */
void box_show(void *data);
void box_leave(void *data);

#define CHECK_RUN(box, inside, data)                                                               \
    CHECK_STR(box_run(box, inside, data) < 0 ? (box)->sandbox.err.text : "", "")
