/* An image on its way out: the manifest as the destination wants it, and its blobs. Used inside
 * this library. */
#pragma once

#include <stdbool.h>

#include "base/arena.h"
#include "base/error.h"
#include "image/content.h"
#include "image/digest.h"
#include "image/image.h"

struct outgoing {
    struct catalog_image image;
    struct content content;   /* as it is in the store */
    struct manifest manifest; /* as it goes out */
    const char *text;
    size_t length;
    char digest[DIGEST_SIZE];
};

/*
 * Prepares an image. With `compress` plain layers become compressed blobs of the store first (which
 * nobody refers to: the caller has the store in use). Without options the manifest stays as it is
 * where it can.
 */
int outgoing_prepare(struct image_store *store, const char *image,
        const struct image_push_options *options, bool compress, struct arena *arena,
        struct outgoing *ret, struct error *err);
void outgoing_free(struct outgoing *outgoing);
#define _cleanup_outgoing_ __attribute__((cleanup(outgoing_free)))
