/*
 * The engine's door to its store of images, <data root>/images. It is opened when it is first asked
 * for, so that sandboxes that need no image pay nothing. What can be done with it: image/image.h.
 */
#pragma once

#include "engine/engine.h"
#include "image/image.h"

/* What a command says of registries; NULL members take the defaults of struct image_options. */
struct engine_registries {
    const char *auth_file;
    const char *certs_dir;
};

/* Opens the store, and makes it if there is none. It belongs to the engine. The first caller's
 * `registries` (may be NULL) count. */
int engine_images(struct engine *engine, const struct engine_registries *registries,
        struct image_store **ret, struct error *err);

/* As engine_images(), but a store that is not there is not made: 0 and NULL. For who only asks. */
int engine_images_if_there(struct engine *engine, struct image_store **ret, struct error *err);

/* Closes it, if it was opened. */
void engine_images_close(struct engine *engine);
