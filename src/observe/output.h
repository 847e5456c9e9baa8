/* What sandboxes have printed, from their logs (`viv logs`). */
#pragma once

#include "engine/engine.h"

struct output_choice {
    bool follow;
    bool timestamps;
    bool names;        /* of several, in front of each line; their ids otherwise */
    const char *since; /* RFC 3339, UTC; NULL: all */
    const char *until;
    int64_t tail; /* so many lines from the end; -1: all */
};

/* Prints to stdout and stderr, as the workloads did: one after the other, and then what comes. */
int output_print(struct engine *engine, const struct strv *names,
        const struct output_choice *choice, struct error *err);
