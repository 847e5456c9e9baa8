/*
 * The unpacked layers of a store, by diff id. Used inside this library.
 *
 * A layer is unpacked without flushing it to the disk, which would cost more than the unpacking:
 * its blob is safe, and its info says in which boot it was unpacked. After another boot the layer
 * is compared with its blob before its first use, and unpacked again if a power cut spoilt it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "image/digest.h"
#include "image/layer.h"
#include "image/store.h"

#define SHELF_PATH_SIZE (DIGEST_SIZE + 24)

struct shelf_info {
    const char *boot; /* id of the boot that unpacked or compared it last */
    uint64_t tar_bytes;
    uint64_t bytes;
    uint64_t entries;
};

/* "layers/HEX" and `tail` ("/diff"). */
void shelf_path(const char *diff_id, const char *tail, char path[SHELF_PATH_SIZE]);

/* Whether the layer is there; its info if `ret` is not NULL (strings in the arena). */
bool shelf_has(struct image_store *store, const char *diff_id, struct arena *arena,
        struct shelf_info *ret);

/* How layers are unpacked into this store. */
struct layer_options shelf_options(const struct image_store *store);

/* An empty folder to unpack into: "tmp/X", with "tmp/X/diff". */
int shelf_prepare(
        struct image_store *store, const char **ret_path, int *ret_diff_fd, struct error *err);

/* The prepared folder becomes the layer. Where another process was faster, ours goes away. */
int shelf_place(struct image_store *store, const char *path, const char *diff_id,
        const struct layer_result *result, struct error *err);

/* Compares a layer with its blob; -EBADMSG when they differ. Remembers that it was done. */
int shelf_compare(
        struct image_store *store, const char *digest, const char *diff_id, struct error *err);

/* Takes the layer away; one that is not there is no error. */
int shelf_remove(struct image_store *store, const char *diff_id, struct error *err);
