/* What has happened and happens to sandboxes (`viv events`). */
#pragma once

#include <stdio.h>

#include "engine/engine.h"

struct events_choice {
    int64_t since_ns;    /* since 1970; -1: from now on */
    int64_t until_ns;    /* -1: no end */
    bool follow;         /* wait for more */
    const char *format;  /* json, a template; NULL: a line for people */
    struct strv filters; /* event=, container=, type=, image= */
};

/* Prints events until `until_ns`, or, if they are not followed, those that have been. */
int events_print(
        struct engine *engine, const struct events_choice *choice, FILE *out, struct error *err);
