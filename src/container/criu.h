/* Starting CRIU and telling what it said. For checkpoint.c only. */
#pragma once

#include "base/arena.h"
#include "base/error.h"
#include "base/str.h"

#define CRIU_INHERITED_MAX 8

/* How CRIU is started. `root` and `place`: in a mount namespace of its own, in which the directory
 * `root` is mounted on `place`, as restoring wants it; NULL for both otherwise. */
struct criu_call {
    struct strv words;
    const char *root, *place;
    int inherited[CRIU_INHERITED_MAX]; /* filled by criu_inherit(), closed by criu_end() */
    size_t count;
};

/* A descriptor that takes the place of what the images call `key` (--inherit-fd); it is copied. */
int criu_inherit(
        struct arena *arena, struct criu_call *call, int fd, const char *key, struct error *err);
void criu_end(struct criu_call *call);
#define _cleanup_criu_ __attribute__((cleanup(criu_end)))

/* Runs criu(8) and waits for its end. On failure the error holds the last lines that CRIU wrote;
 * -EOPNOTSUPP when CRIU is not installed or cannot work on this kernel. */
int criu_run(struct arena *arena, const struct criu_call *call, struct error *err);
