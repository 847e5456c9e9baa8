/*
 * Control groups as the sandbox sees them, below the target of a mount of type cgroup: one cgroup2
 * mount, or on v1 and hybrid hosts a tmpfs with one directory for each hierarchy and links for the
 * single controllers. cgroups(7).
 */
#pragma once

#include "plan/plan.h"
#include "rootfs/options.h"
#include "rootfs/rootfs.h"

/* Child: the mounts of `rootfs->cgroups` on the target. */
int cgroupfs_add(struct plan *plan, struct rootfs *rootfs, const struct rootfs_mount *mount,
        const struct mount_options *options, struct error *err);

/* Before the child is made: the sources, where directories are bound because the sandbox has no
 * cgroup namespace. */
void cgroupfs_add_open(struct plan *plan, struct rootfs *rootfs);
