/*
 * Podman's "U" of a bind mount: its source and all that is below it belong to the sandbox's user,
 * and do so afterwards (treewalk.h).
 */
#pragma once

#include "plan/plan.h"
#include "rootfs/treewalk.h"

struct rechown {
    struct treetop top;
    uint32_t uid, gid; /* as whoever applies the step sees them */
};

/* Calls, for each file: openat2, and fchownat where the owner is another one. The struct lives in
 * the plan's arena. What was given away stays so when the run fails, as it does when it goes well.
 */
void rechown_add(struct plan *plan, enum step_place place, const struct rechown *rechown,
        const char *because);
