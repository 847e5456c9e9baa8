/*
 * A folder with images in it: an OCI layout, skopeo's dir:, or an archive of either kind that was
 * unpacked first. Files in it are found by openat2(2) below the folder only. Used inside this
 * library.
 */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"
#include "base/json.h"
#include "image/manifest.h"
#include "image/store.h"

struct bundle {
    struct image_store *store;
    struct arena *arena;
    int fd;
    const char *unpacked; /* "tmp/X": it is ours, and goes at the end; NULL: somebody's folder */
    const char *source;   /* for errors */
};

/* A folder as it is. */
int bundle_open_folder(struct image_store *store, const char *path, struct arena *arena,
        struct bundle *ret, struct error *err);

/* An archive, unpacked into the store's tmp/. */
int bundle_open_archive(struct image_store *store, int fd, const char *source, struct arena *arena,
        struct bundle *ret, struct error *err);

/* Gives back what opening took. */
void bundle_close(struct bundle *bundle);
#define _cleanup_bundle_ __attribute__((cleanup(bundle_close)))

/* A file of the bundle by its path: whether it is there, opened (the caller closes), read, parsed.
 */
bool bundle_has(const struct bundle *bundle, const char *path);
int bundle_open_file(const struct bundle *bundle, const char *path, struct error *err);
int bundle_read(const struct bundle *bundle, const char *path, struct buf *text, struct error *err);
int bundle_read_json(
        const struct bundle *bundle, const char *path, struct json_object **ret, struct error *err);

/* Makes one of its files a file of the store's own, by a link or a copy; not verified yet. Returns
 * a descriptor. */
int bundle_take(
        const struct bundle *bundle, const char *path, const char **ret_path, struct error *err);
