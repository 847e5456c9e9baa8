/*
 * mount(2) where a kernel before 5.12, or a filter around us, refuses the newer calls. Descriptors
 * become paths through a verified procfs handle ("self/fd/N" relative to it), so nothing here
 * walks a path of the workload's root either. Changes the working directory.
 *
 * `proc` is the handle, or -1: then it is opened here and stays with the caller.
 */
#pragma once

#include <stdint.h>

#include "base/error.h"
#include "rootfs/options.h"

/* Whether this failure of a newer call means that mount(2) is worth a try. */
bool legacy_wanted(int result);

/* mount(2) of a file system with these options; `data` are words for the file system. -errno. */
int legacy_mount(int *proc, int target_fd, const char *type, const char *source,
        const struct mount_options *options);

/* A bind of one descriptor over another, both of this mount namespace. -errno. */
int legacy_bind(int *proc, int source_fd, int target_fd, bool recursive);

/* Attributes and propagation of the mount whose root the descriptor is: a remount of the bind.
 * -ENOTSUP for attributes that only the newer call can set. */
int legacy_setattr(int *proc, int fd, const struct mount_options *options, uint64_t base);
