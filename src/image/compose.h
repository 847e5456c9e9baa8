/* Making images: one more layer upon another image, or upon nothing. Used inside this library. */
#pragma once

#include "base/arena.h"
#include "base/error.h"
#include "base/json.h"
#include "image/content.h"
#include "image/image.h"

/*
 * Changes the "config" object of an image's configuration as a line of a Dockerfile says: "CMD
 * /bin/sh", "ENV A=1 B=2", "LABEL a=b", "EXPOSE 80/tcp", also with "=" behind the word. -EINVAL
 * names the words that there are.
 */
int compose_apply(struct json_object *config, const char *line, struct error *err);

/* `layer` is a blob of the store. `base` NULL: a new image. */
int compose_image(struct image_store *store, const struct content *base,
        const struct descriptor *layer, const char *diff_id, const struct image_change *change,
        char ret_id[IMAGE_ID_SIZE], struct error *err);
