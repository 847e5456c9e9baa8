/*
 * A plan: the ordered list of kernel operations that makes a sandbox. Built by appending steps;
 * after that it is a value: it can be printed, tested, applied (run.h), undone and sent.
 *
 * The order of the list is the order in which things happen, across all places: where the place
 * changes from one step to the next, the work is handed over and waited for.
 */
#pragma once

#include <stddef.h>

#include "plan/step.h"

struct plan {
    struct arena *arena; /* owns the steps and their args; belongs to the caller */
    struct step *steps;
    size_t count;
    size_t capacity;
    int slots; /* descriptor slots given out, see plan_new_slot() */
};

/* Appends a step. `because` and `args` must live as long as the arena. */
void plan_add(struct plan *plan, enum step_place place, const struct step_ops *ops,
        const char *because, const void *args);

/* `because` with an index or a key in it, in the plan's arena. */
const char *plan_pointer(struct plan *plan, const char *format, ...)
        __attribute__((format(printf, 2, 3)));

#define PLAN_SLOTS_MAX 256

/*
 * A number for a descriptor that one step opens and later ones use: run->fds[slot]. Slots start at
 * -1, are inherited by the child as they are when it is made, and are closed when the run ends.
 */
int plan_new_slot(struct plan *plan);

/* Describes step `index` (from 0) into text, whose arena is set by the caller. */
void plan_describe(const struct plan *plan, size_t index, struct step_text *text);
