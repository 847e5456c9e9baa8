/* Sandboxes as a list (`viv ps`) and in full (`viv inspect`). */
#pragma once

#include <stdio.h>

#include "base/json.h"
#include "engine/engine.h"

struct listing_choice {
    bool all;            /* also those that do not run */
    bool quiet;          /* ids only */
    bool whole;          /* ids and commands are not cut */
    int64_t last;        /* only so many, the latest first, also those that do not run; 0: all */
    const char *format;  /* see format.h; NULL: the usual table */
    struct strv filters; /* see filter.h */
};

/* Prints the chosen sandboxes, the latest first. */
int listing_print(
        struct engine *engine, const struct listing_choice *choice, FILE *out, struct error *err);

/* Everything about one sandbox: what was asked for, what is, how it ended. Belongs to the caller.
 */
int listing_inspect(
        struct engine *engine, const char *name, struct json_object **ret, struct error *err);
