/* Images as a list (`viv images`), an image's history, and what the store takes of the disk. */
#pragma once

#include <stdio.h>

#include "base/json.h"
#include "engine/engine.h"
#include "image/image.h"

struct images_choice {
    bool quiet; /* ids only */
    bool no_trunc;
    bool no_heading;       /* the rows of the table alone */
    bool digests;          /* a column for them */
    const char *format;    /* as observe/format.h has it; NULL: the usual table */
    struct strv filters;   /* "dangling=", "reference=", "label=", "before=", "since=" */
    const char *reference; /* only what has this name; NULL: all */
};

/* Prints the chosen images, newest first, a row for each name. */
int images_print(struct image_store *store, const struct images_choice *choice, FILE *out,
        struct error *err);

/* The steps that made an image, newest first. */
int images_print_history(struct image_store *store, const char *image,
        const struct images_choice *choice, FILE *out, struct error *err);

/* `viv system df`. */
int images_print_usage(struct engine *engine, struct image_store *store, const char *format,
        FILE *out, struct error *err);
