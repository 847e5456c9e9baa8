/* What images, sandboxes and volumes take of the disk (`viv system df`). */
#pragma once

#include <stdio.h>

#include "engine/engine.h"
#include "image/image.h"

/* A row for each kind. */
int diskuse_print(struct engine *engine, struct image_store *store, const char *format, FILE *out,
        struct error *err);

/* A table for each kind, with a row for each image, sandbox and volume. */
int diskuse_print_each(
        struct engine *engine, struct image_store *store, FILE *out, struct error *err);
