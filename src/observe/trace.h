/* A plan, watched while it is applied: each step with its time and result (`run --trace`), or with
 * a stop before each (`run --step`). */
#pragma once

#include <stdio.h>

#include "plan/run.h"

struct trace {
    struct plan_watch watch; /* to be given to the run */
    FILE *out;
    FILE *in;      /* of the stepping; NULL: no stops */
    bool go_on;    /* "continue to the end" was typed */
    int64_t total; /* nanoseconds of all steps */
};

/* Prints to `out`, which is copied (the workload's streams may replace ours meanwhile). `step`:
 * stops before each step and asks what to do, on the terminal. */
int trace_init(struct trace *trace, bool step, struct error *err);
void trace_end(struct trace *trace);
