/* Making images: one more layer upon another image, or upon nothing. Used inside this library. */
#pragma once

#include "base/arena.h"
#include "base/error.h"
#include "image/content.h"
#include "image/image.h"

/* `layer` is a blob of the store. `base` NULL: a new image. */
int compose_image(struct image_store *store, const struct content *base,
        const struct descriptor *layer, const char *diff_id, const struct image_change *change,
        char ret_id[IMAGE_ID_SIZE], struct error *err);
