/*
 * A root that is made of layers, and looking into it without mounting it: for what has to be known
 * before the sandbox exists (who a user is, whether a mount point is there). Only reads.
 */
#pragma once

#include <stdbool.h>

#include "base/str.h"

/* A root made of layers by overlayfs: folders of the host. What the sandbox changes is kept in
 * `upper`. All are seen through the sandbox's user namespace where the root is idmapped. */
struct rootfs_overlay {
    struct strv lower; /* the topmost first */
    const char *upper; /* NULL: nothing can be written */
    const char *work;  /* overlayfs's own, on the same mount as upper; empty */
    const char *base;  /* the folder that most of them are below: it is opened (and mapped) once */
    bool in_memory;    /* `upper` only says owner and mode: what is changed is kept in a tmpfs */
    bool passing;      /* upper goes when the sandbox does: nothing is flushed for its sake */
    bool by_path;      /* the kernel takes no layers by descriptor (before Linux 6.13) */
};

/*
 * A descriptor (O_PATH) of what a path will be in the mounted root; links on the way are followed
 * inside it. -ENOENT, -ENOTDIR, -ELOOP.
 */
int layers_open(const struct rootfs_overlay *layers, const char *path);
