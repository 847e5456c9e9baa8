/* Pulling from a registry. Used inside this library. */
#pragma once

#include "image/image.h"
#include "image/platform.h"
#include "image/reference.h"

/* `platform_given`: an image in the store for another platform does not count. */
int pull_from_registry(struct image_store *store, const struct reference *name,
        const struct platform *platform, bool platform_given, enum image_pull_policy policy,
        const struct image_access *access, char *ret_id, struct error *err);
