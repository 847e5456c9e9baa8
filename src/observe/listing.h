/* Sandboxes as a list (`viv ps`) and in full (`viv inspect`). */
#pragma once

#include <stdio.h>

#include "base/json.h"
#include "engine/engine.h"

struct listing_choice {
    bool all;            /* also those that do not run */
    bool quiet;          /* ids only */
    bool whole;          /* ids and commands are not cut */
    bool sizes;          /* what they take of the disk too */
    bool no_heading;     /* the rows of the table alone */
    const char *sort;    /* by this column, one of LISTING_SORTS; NULL: the latest first */
    int64_t last;        /* only so many, the latest first, also those that do not run; 0: all */
    const char *format;  /* see format.h; NULL: the usual table */
    struct strv filters; /* see filter.h */
};

/* The words for `sort`, with "|" between them. */
#define LISTING_SORTS "command|created|id|image|names|runningfor|size|status"

/* Prints the chosen sandboxes. */
int listing_print(
        struct engine *engine, const struct listing_choice *choice, FILE *out, struct error *err);

/* Everything about one sandbox: what was asked for, what is, how it ended; with `sizes` SizeRw and
 * SizeRootFs too. Belongs to the caller. */
int listing_inspect(struct engine *engine, const char *name, bool sizes, struct json_object **ret,
        struct error *err);
