/* Where what a sandbox changes can be kept: in the store, or in memory. For rootfs/overlay.c and
 * rootfs/overlaypath.c, which mount, and for whoever decides which of the two it is. */
#pragma once

#include "plan/step.h"
#include "rootfs/overlayself.h"

/* Whether the file system of a folder can hold what an overlay changes. False for those that the
 * kernel takes for nothing but a lower layer: overlayfs itself, as the root of most containers is,
 * and NFS. True where the folder cannot be looked at: mounting will say why. */
bool overlay_can_keep(const char *path);

/* A tmpfs that is nowhere attached, gone with the last mount of it, with the folders "upper", of
 * the owner and mode of layers->upper, and "work": its descriptor, the caller's; or an error. */
int overlay_memory(const struct overlay_mount *mount, struct error *err);

/* Its calls, for the step's description. */
void overlay_memory_describe(struct step_text *text);

/* What to do where the kernel refuses the upper folder (EINVAL). */
const char *overlay_upper_hint(const struct rootfs_overlay *layers);
