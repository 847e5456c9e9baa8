/* What sandboxes use: CPU, memory, processes, networks, disk (`viv stats`). */
#pragma once

#include <stdio.h>

#include "engine/engine.h"

struct usage_choice {
    struct strv names;    /* none: all that run */
    bool all;             /* of these also those that do not run: they use nothing */
    bool whole;           /* ids are not cut */
    const char *format;   /* see format.h; NULL: the usual table */
    unsigned interval_ms; /* CPU shares are measured over it; 0: not measured */
};

/* One reading of each sandbox. */
int usage_print(
        struct engine *engine, const struct usage_choice *choice, FILE *out, struct error *err);
