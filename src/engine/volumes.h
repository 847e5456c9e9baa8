/*
 * Volumes: directories that outlive sandboxes, DATA-ROOT/volumes/NAME with what is in it in _data
 * and what is known of it in volume.json. Owners on disk are those inside (0 is root): a sandbox
 * with ids of its own sees a volume through them.
 *
 * A sandbox remembers in its meta which volumes it uses. They are made when they are missing, and a
 * new one is filled from what the root has there, when it is created or first started; they join
 * the configuration as plain binds, so that machines share them like any directory.
 */
#pragma once

#include "engine/engine.h"

struct volume {
    const char *name;
    const char *driver;  /* "local" */
    const char *created; /* RFC 3339 */
    bool anonymous;
    struct record_map labels;
    struct record_map options; /* type, device, o: as of mount(8); none: a directory */
    const char *path;          /* not in the file */
};

/* A name: letters, digits, "_.-", a letter or digit first, at most 255. -EINVAL. */
int volume_check_name(const char *name, struct error *err);

/* A name for one without: 64 hexadecimal digits. */
const char *volume_new_name(struct arena *arena);

/* Makes one. -EEXIST. */
int volume_create(struct engine *engine, const struct volume *volume, struct error *err);

/* -ENOENT. */
int volume_find(struct engine *engine, const char *name, struct volume *ret, struct error *err);
int volume_list(struct engine *engine, struct strv *ret, struct error *err);

/* The names of sandboxes that use it. */
int volume_users(struct engine *engine, const char *name, struct strv *ret, struct error *err);

/* Takes it away, with all that is in it. -EBUSY while sandboxes use it; with `force` they go first,
 * which must not run, and one that is not there is fine. */
int volume_remove(struct engine *engine, const char *name, bool force, struct error *err);

/* Makes what is missing of the sandbox's volumes. */
int volumes_make(struct engine *engine, const struct sandbox_meta *meta, struct error *err);

/* Their mounts in the configuration. With `take` they are made and filled first. */
int volumes_mount(struct engine *engine, const struct sandbox_meta *meta, struct spec *spec,
        bool take, struct error *err);

/* Takes the sandbox's volumes without a name away. */
void volumes_drop(struct engine *engine, const struct sandbox_meta *meta);
