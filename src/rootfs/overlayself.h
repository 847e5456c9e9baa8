/* Who overlayfs is while it works on layers, and what an overlay mount is made of. For the two ways
 * of mounting it, rootfs/overlay.c and rootfs/overlaypath.c. */
#pragma once

#include <stdint.h>

#include "base/error.h"
#include "plan/step.h"
#include "rootfs/layers.h"

struct overlay_mount {
    const struct rootfs_overlay *layers;
    int userns_fd;     /* whose ids the layers are mapped to; -1: as they are on the disk */
    uint32_t uid, gid; /* with a userns: the host's ids that are its root */
    bool user_marks;   /* whiteouts and opaque folders are marked by "user." attributes: made by and
                          for an ordinary user (userxattr) */
    const char *label; /* SELinux context of all files; NULL: their own */
};

/*
 * Overlayfs works on the layers as whoever mounts it, and makes its own files there. Where they are
 * mapped, that has to be somebody whom the maps know: the sandbox's root, with the rights that this
 * process has. overlay_become() changes the thread's file system ids, overlay_return() takes it
 * back.
 */
struct overlay_self {
    int securebits;
    bool changed;
};
int overlay_become(const struct overlay_mount *mount, struct overlay_self *self, struct error *err);
void overlay_return(const struct overlay_self *self);

/* What both do, for a step's description; ids: the host's ids, as text. */
struct overlay_ids {
    const char *uid;
    const char *gid;
};
void overlay_describe_become(const struct overlay_ids *ids, struct step_text *text);
void overlay_describe_return(struct step_text *text);
