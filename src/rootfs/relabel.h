/*
 * SELinux labels of what a sandbox is given from the host ("z" and "Z" of a bind mount): a folder
 * and all that is below it get the label of the sandbox's files, and keep it afterwards
 * (treewalk.h).
 */
#pragma once

#include "plan/plan.h"
#include "rootfs/treewalk.h"

struct relabel {
    struct treetop top;
    const char *label;
};

/* Calls, for each file: openat2, getxattr, and setxattr where the label is another one. The struct
 * lives in the plan's arena. What was relabelled stays so when the run fails, as it does when it
 * goes well. */
void relabel_add(struct plan *plan, enum step_place place, const struct relabel *relabel,
        const char *because);
