/*
 * Volumes: directories that outlive sandboxes, DATA-ROOT/volumes/NAME with what is in it in _data
 * and what is known of it in volume.json. Owners on disk are those inside (0 is root): a sandbox
 * with ids of its own sees a volume through them. A sandbox remembers in its meta which it uses.
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

/* A name: letters, digits, "_.-", a letter or digit first, at most 200. -EINVAL. */
int volume_check_name(const char *name, struct error *err);

/* Makes one. -EEXIST. */
int volume_create(struct engine *engine, const struct volume *volume, struct error *err);

/* -ENOENT. */
int volume_find(struct engine *engine, const char *name, struct volume *ret, struct error *err);
int volume_list(struct engine *engine, struct strv *ret, struct error *err);

/* The names of sandboxes that use it. */
int volume_users(struct engine *engine, const char *name, struct strv *ret, struct error *err);

/* Its directory, in the arena. */
const char *volume_path(struct engine *engine, const char *name);

/* The folder of all volumes, locked: nobody else makes or removes one until it is closed. */
int volumes_lock(struct engine *engine, int *ret_folder, struct error *err);

/* Makes it if it is missing; `folder` is the locked one. */
int volume_ensure(
        struct engine *engine, int folder, const char *name, bool anonymous, struct error *err);

/* Takes it away, with all that is in it. -EBUSY while sandboxes use it. */
int volume_remove(struct engine *engine, const char *name, struct error *err);

/* Takes the sandbox's volumes without a name away. */
void volumes_drop(struct engine *engine, const struct sandbox_meta *meta);
