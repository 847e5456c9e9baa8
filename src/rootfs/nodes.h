/*
 * What lies in /dev: device nodes, made with mknod(2) or, where a user namespace forbids that,
 * bound from the host's after their device number was checked; and the links to /proc/self/fd.
 * runtime-spec config-linux.md#default-devices, config.md "default filesystems".
 */
#pragma once

#include "plan/plan.h"
#include "rootfs/rootfs.h"

/* The steps, in the child: opening /dev, one for each device, one for the links. */
void nodes_add(struct plan *plan, struct rootfs *rootfs);
