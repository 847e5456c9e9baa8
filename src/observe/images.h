/* Images as a list (`viv images`), and an image's history. */
#pragma once

#include <stdio.h>

#include "base/json.h"
#include "base/record.h"
#include "engine/engine.h"
#include "image/image.h"

#define IMAGES_SORTS "created|id|repository|size|tag"

struct images_choice {
    bool quiet; /* ids only */
    bool no_trunc;
    bool no_heading;       /* the rows of the table alone */
    bool digests;          /* a column for them */
    const char *format;    /* as observe/format.h has it; NULL: the usual table */
    struct strv filters;   /* "dangling=", "reference=", "label=" … */
    const char *sort;      /* one of IMAGES_SORTS; NULL: the newest first */
    struct opt_bool human; /* of a history: false for times and bytes as they are */
    const char *reference; /* only what has this name; NULL: all */
};

/* Prints the chosen images, newest first, a row for each name. */
int images_print(struct image_store *store, const struct images_choice *choice, FILE *out,
        struct error *err);

/* The steps that made an image, newest first. */
int images_print_history(struct image_store *store, const char *image,
        const struct images_choice *choice, FILE *out, struct error *err);

/* The ids of those that pass all filters. */
int images_choose(struct image_store *store, const struct strv *filters, struct arena *arena,
        struct strv *ret, struct error *err);

/* Its first name, its short id, age and size, as the list has them. */
void images_add_name(struct arena *arena, const struct image_info *image, struct json_object *row);
