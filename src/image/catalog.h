/* The list of images in a store, images.json. Used inside this library. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/record.h"
#include "base/str.h"
#include "image/store.h"

struct catalog_image {
    const char *id;       /* digest of the configuration */
    const char *manifest; /* digest of the manifest */
    struct strv names;    /* "docker.io/library/debian:12" */
    struct strv digests;  /* "docker.io/library/debian@sha256:…" */
    const char *platform;
    int64_t created;
    int64_t added;
    uint64_t size; /* of its unpacked layers */
};

struct catalog {
    RECORD_LIST(struct catalog_image) images;
};

/* Reads the list as it is at this moment; strings live in the arena. */
int catalog_load(
        struct image_store *store, struct arena *arena, struct catalog *ret, struct error *err);

/*
 * Changes the list: takes the lock, reads, lets the function change it, writes it durably. The
 * function returns 0 to write, 1 to leave all as it is, negative with the error filled.
 */
typedef int (*catalog_fn)(
        struct catalog *catalog, struct arena *arena, void *data, struct error *err);
int catalog_change(struct image_store *store, catalog_fn fn, void *data, struct error *err);

/* The image with that id; NULL if there is none. Belongs to the catalog. */
struct catalog_image *catalog_by_id(struct catalog *catalog, const char *id);

/* Adds the image or, where its id is there, takes over its manifest and adds its names and digests.
 * A name is taken away from the image that had it. */
void catalog_add(struct catalog *catalog, struct arena *arena, const struct catalog_image *image);
void catalog_drop(struct catalog *catalog, struct catalog_image *image);

/* Takes a word out of a list; false if it is not in it. */
bool catalog_drop_word(struct strv *list, const char *word);

/*
 * Finds by full or short name, name@digest, digest, id or prefix of an id (at least 3 digits).
 * `*ret_name` is the name that matched, NULL for an id. -ENOENT, -EEXIST.
 */
int catalog_find(struct image_store *store, struct catalog *catalog, const char *image,
        struct arena *arena, struct catalog_image **ret, const char **ret_name, struct error *err);

/* The names of a repository, full or short. -EINVAL: it has a tag or a digest; -ENOENT. */
int catalog_names_of(struct image_store *store, const struct catalog *catalog,
        const char *repository, struct arena *arena, struct strv *ret, struct error *err);
