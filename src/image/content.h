/* What an image of the list is made of: its manifest, its configuration, its layers. Used inside
 * this library. */
#pragma once

#include "base/arena.h"
#include "base/error.h"
#include "base/json.h"
#include "image/catalog.h"
#include "image/manifest.h"
#include "image/store.h"

struct content {
    const char *text; /* of the manifest */
    size_t length;
    struct manifest manifest;
    struct json_object *config;
    const char *config_text;
    const char **diff_ids; /* manifest.count of them */
};

/* Reads and verifies the small blobs. Strings live in the arena; content_free() puts the config. */
int content_load(struct image_store *store, const struct catalog_image *image, struct arena *arena,
        struct content *ret, struct error *err);

/* By name or id, out of the list as it is now. */
int content_find(struct image_store *store, const char *image, struct arena *arena,
        struct catalog_image *ret_image, struct content *ret, struct error *err);

/* Frees what it holds, not itself. */
void content_free(struct content *content);
#define _cleanup_content_ __attribute__((cleanup(content_free)))
