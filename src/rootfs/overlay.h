/*
 * A root made of layers: one overlayfs mount that is nowhere attached until the child attaches it,
 * so that the host's mount table never shows it and nothing is left when everybody is killed.
 *
 * The layers are given by descriptor. Where they are seen through a user namespace, the folder that
 * holds them is cloned and idmapped once, and they are opened below the clone. Kernels before 6.13
 * take paths alone: there a short-lived process with a mount namespace of its own attaches the
 * clones, mounts, and hands the mount over in the descriptor table that it shares.
 */
#pragma once

#include "plan/plan.h"
#include "rootfs/overlayself.h"
#include "sys/userns.h"

/* The mount, for move_mount(2). -ENODEV: this kernel has no overlayfs; -EINVAL: the file system of
 * the upper folder cannot be one … the error says what to do. */
int overlay_mount(const struct overlay_mount *mount, int *ret_fd, struct error *err);

/* The step that does it. */
struct overlay_step {
    const struct rootfs_overlay *layers;
    bool idmapped;             /* through the child's user namespace */
    bool user_marks;           /* as in struct overlay_mount */
    struct id_maps uids, gids; /* of that user namespace; empty: it is one that is joined */
    int slot;                  /* where the mount goes */
    const char *label;         /* SELinux context of all files; NULL: their own */
};
void overlay_add(struct plan *plan, enum step_place place, const struct overlay_step *step);

/* Whether this kernel takes layers by descriptor. */
bool overlay_by_descriptor(void);
