/*
 * Volumes in sandboxes. They are made when they are missing, and a new one is filled from what the
 * root has there, when the sandbox is created or first started; they join the configuration as
 * plain binds, so that machines share them like any directory.
 */
#pragma once

#include "engine/engine.h"
#include "engine/volume.h"

/* Takes a volume away. -EBUSY while sandboxes use it; with `force` they go first, which must not
 * run, and a volume that is not there is fine. */
int volume_remove_with_users(
        struct engine *engine, const char *name, bool force, struct error *err);

/* Makes what is missing of the sandbox's volumes. */
int volumes_make(struct engine *engine, const struct sandbox_meta *meta, struct error *err);

/* Their mounts in the configuration. With `take` they are made and filled first. */
int volumes_mount(struct engine *engine, const struct sandbox_meta *meta, struct spec *spec,
        bool take, struct error *err);

/* Of a sandbox that does not run: the folder that is mounted while it does, O_PATH, the caller's.
 * -EROFS: it cannot be written to. */
int volumes_open(struct engine *engine, const struct sandbox_volume *use, bool write, int *ret,
        struct error *err);
