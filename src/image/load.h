/* Reading images from archives and folders. Used inside this library. */
#pragma once

#include "image/image.h"
#include "image/platform.h"
#include "image/transport.h"

/* The one image that a source means; its name in the store is the name inside, or localhost/FILE.
 * `platform` NULL: any. */
int load_one(struct image_store *store, const struct transport_name *source,
        const struct platform *platform, const struct image_access *access, char *ret_id,
        struct error *err);
