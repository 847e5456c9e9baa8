/* The roots of containers as the store knows them. Used inside this library. */
#pragma once

#include "base/arena.h"
#include "base/error.h"
#include "base/record.h"
#include "image/store.h"

struct root_info {
    const char *folder;   /* of the host, in place of an image; NULL */
    const char *image;    /* id; NULL with `folder` */
    const char *manifest; /* digest */
    struct strv blobs;    /* of the layers, lowest first */
    struct strv layers;   /* their diff ids */
};

/* "roots/ID" and `tail`; -EINVAL for an id that is no plain name. */
int root_path(const char *id, const char *tail, char *path, size_t size, struct error *err);

/* What is written down about the root. -ENOENT if there is no such root. */
int root_load(struct image_store *store, const char *id, struct arena *arena, struct root_info *ret,
        struct error *err);

/* All ids. */
int root_list(struct image_store *store, struct arena *arena, struct strv *ret, struct error *err);

/* The id of a root that uses the image; NULL if there is none. */
const char *root_using(struct image_store *store, const char *image, struct arena *arena);

/* Opens the root's upper folder for reading. */
int root_open_upper(struct image_store *store, const char *id, struct error *err);
