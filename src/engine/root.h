/*
 * The roots of sandboxes that are laid upon an image: what an image and the sandbox's own changes
 * are made of on the disk. Each has an entry of the sandbox's id in the store of images, made when
 * the sandbox first starts and taken away with its record. A sandbox's root can also be a plain
 * folder (--rootfs, --bundle): then there is nothing here to take or to give back.
 */
#pragma once

#include "engine/engine.h"
#include "image/image.h"
#include "rootfs/rootfs.h"
#include "security/passwd.h"

/*
 * Makes or finds the root of a sandbox and says what it is made of: `*ret` is NULL for a plain
 * folder, and for a machine, which makes a disk of it (vm_root.h). The configuration's root path
 * becomes the place that stands for it. Without `take` nothing is made. `*ret_made` tells whether
 * it is new.
 */
int engine_root_take(struct engine *engine, const struct sandbox_meta *meta, struct spec *spec,
        bool take, const struct rootfs_overlay **ret, bool *ret_made, struct error *err);

/* Of the folder that layers are kept below, what is there already: in an explanation the store may
 * be still to be made. */
const char *engine_root_folder(struct arena *arena, const struct rootfs_overlay *layers);

/* Removes what a sandbox of this id has changed. One that is not there is fine. */
void engine_root_drop(struct engine *engine, const char *id);

/* Looks a user up (passwd_lookup) in the root of a sandbox that need not run or exist yet. */
int engine_root_user(struct engine *engine, const struct sandbox_meta *meta,
        const struct spec *spec, const char *user, struct passwd_user *ret, struct error *err);

/* Before a root is looked into: one that was never started gets its own. -EOPNOTSUPP for a machine
 * whose changes are not on this host (vm_upper.h), and for a container that keeps them in memory.
 */
int engine_root_is_here(struct engine *engine, const struct sandbox *sandbox, struct error *err);

/*
 * A read-only mount of a sandbox's root, without what is mounted in it while it runs: a descriptor
 * of its directory. For export; needs the right to mount.
 */
int engine_root_open(struct engine *engine, const struct sandbox_meta *meta,
        const struct spec *spec, int *ret_fd, struct error *err);
/* The image's layers alone, without what the sandbox has changed. */
int engine_root_open_image(
        struct engine *engine, const struct sandbox_meta *meta, int *ret_fd, struct error *err);
int engine_root_open_of(
        struct engine *engine, const struct sandbox *sandbox, int *ret_fd, struct error *err);

/* The same to write to, of a sandbox that does not run, and that cannot be started meanwhile
 * because the caller holds the lock on its record. -EROFS. */
int engine_root_open_to_write(
        struct engine *engine, const struct sandbox *sandbox, int *ret_fd, struct error *err);
