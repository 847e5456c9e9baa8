/*
 * A conversation with CRIU: `criu swrk` is started, told by messages what to do (criu_message.h),
 * asked back at each stage, and waited for; what libcriu does, without the library. For
 * checkpoint.c, restore.c and external.c.
 */
#pragma once

#include "base/str.h"
#include "container/criu_message.h"

#define CRIU_INHERITED_MAX 8

/* CRIU has come to a stage ("setup-namespaces", "orphan-pts-master" …) and waits for us. */
struct criu_notice {
    const char *script;
    pid_t pid; /* of the container's first process; 0: not told */
    int fd;    /* comes with the notice and stays the caller's; -1: none */
};

/* How CRIU is started and what it is told. */
struct criu_call {
    struct arena *arena;
    enum criu_kind kind;
    struct buf options; /* enum criu_option; freed by criu_end(), as all that follows is closed */
    const char *images, *work; /* folders, and their descriptors; NULL and -1: the images' */
    int images_fd, work_fd;
    /* In a mount namespace of its own (`mounts`), in which the directory `root` is mounted on
     * `place`, as restoring wants it; NULL for both otherwise. */
    const char *root, *place;
    int mounts;
    int inherited[CRIU_INHERITED_MAX];
    size_t count;
    /* Negative ends it all; NULL: nobody wants to know. */
    int (*on_notice)(void *data, const struct criu_notice *notice, struct error *err);
    void *data;
};

#define CRIU_CALL(arena_, kind_)                                                                   \
    ((struct criu_call){                                                                           \
            .arena = (arena_), .kind = (kind_), .images_fd = -1, .work_fd = -1, .mounts = -1})

/* A descriptor that takes the place of what the images call `key`; it is copied. */
int criu_inherit(struct criu_call *call, int fd, const char *key, struct error *err);
void criu_end(struct criu_call *call);
#define _cleanup_criu_ __attribute__((cleanup(criu_end)))

/* Has it done. `*ret_pid` (may be NULL) is the restored process, our child. On failure the error
 * holds what CRIU says was wrong and where its log is; -EOPNOTSUPP when CRIU is not installed or
 * cannot work on this kernel. */
int criu_run(struct criu_call *call, pid_t *ret_pid, struct error *err);
