/*
 * What a path inside the root will be when its step comes: for descriptions, which have to tell
 * whether a mount point will be there or has to be made, before anything is mounted. Built while
 * the steps are added, in their order; looking only reads the host's file systems. Links in the
 * root that lead from one mount into another are not followed.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

#include "base/arena.h"

struct foresight;

struct rootfs_overlay;

/* root_path NULL: of another kernel (a guest's). Nothing is looked at, and what an image or a
 * kernel's file system may have is taken to be there. `layers` NULL: the root is a folder. */
struct foresight *foresight_new(
        struct arena *arena, const char *root_path, const struct rootfs_overlay *layers);

/* How many things have been noted so far; a step keeps it to ask about its own time. */
size_t foresight_now(const struct foresight *foresight);

/* A mount comes to lie on the target: of the host's `source`, or, when that is NULL, of a new file
 * system of this type. */
void foresight_mount(
        struct foresight *foresight, const char *target, const char *type, const char *source);

/* How many parts at the end of the path are missing at that time; 0: it is there, and `*ret_st`
 * (may be NULL) tells what it is (all zero when it is made by an earlier step). */
size_t foresight_missing(
        const struct foresight *foresight, size_t when, const char *path, struct stat *ret_st);
