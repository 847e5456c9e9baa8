/* Writing images into folders and archives. Used inside this library. */
#pragma once

#include "base/error.h"
#include "base/str.h"
#include "image/image.h"
#include "image/transport.h"

/* One image to a destination that is no registry; its manifest's digest goes to ret_digest. */
int save_one(struct image_store *store, const char *image, const struct transport_name *to,
        const struct image_push_options *options, char *ret_digest, struct error *err);
