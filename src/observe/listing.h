/* Sandboxes as a list (`viv ps`) and in full (`viv inspect`). */
#pragma once

#include <stdio.h>

#include "base/json.h"
#include "engine/engine.h"

struct listing_choice {
    bool all;   /* also those that have ended */
    bool quiet; /* names only */
    bool json;
    struct strv filters; /* "name=", "status=", "label=KEY[=VALUE]" */
};

/* Prints the chosen sandboxes, as a table or as JSON. */
int listing_print(
        struct engine *engine, const struct listing_choice *choice, FILE *out, struct error *err);

/* Everything about one sandbox: what was asked for, what is, how it ended. Belongs to the caller.
 */
int listing_inspect(
        struct engine *engine, const char *name, struct json_object **ret, struct error *err);
