/* The flags for the file system: binds, volumes, tmpfs, devices. Formats are those of Docker's -v,
 * --mount, --tmpfs, --device. For cli/runflags.c. */
#pragma once

#include "cli/runbuild.h"

extern const struct option_table run_mounts_table;

/* Binds, volumes and other mounts of the user; the IPC and user namespaces must be settled, since
 * they decide what is mounted at /dev/shm, /proc and /sys. -EINVAL with the error filled. */
int run_mounts_apply(struct run_build *build, struct error *err);
