/* What a sandbox has printed, from its log (`viv logs`). */
#pragma once

#include "engine/engine.h"

struct output_choice {
    bool follow;
    bool timestamps;
    const char *since; /* RFC 3339, UTC; NULL: all */
    const char *until;
    int64_t tail; /* so many lines from the end; -1: all */
};

/* Prints to stdout and stderr, as the workload did. */
int output_print(struct engine *engine, const char *name, const struct output_choice *choice,
        struct error *err);
