/*
 * SELinux labels of what a sandbox is given from the host ("z" and "Z" of a bind mount): a folder
 * and all that is below it on the same mount get the label of the sandbox's files, and keep it
 * afterwards. No link is followed below the folder, so that who can write there leads it nowhere
 * else; what is mounted there keeps its labels, and so do the folders that a system is made of.
 */
#pragma once

#include "plan/plan.h"

struct relabel {
    const char *path;
    const char *part; /* of `path`, found inside it; NULL: all of it */
    bool nofollow;    /* a link is taken itself */
    const char *label;
};

/* Calls, for each file: openat2, getxattr, and setxattr where the label is another one. The struct
 * lives in the plan's arena. What was relabelled stays so when the run fails, as it does when it
 * goes well. */
void relabel_add(struct plan *plan, enum step_place place, const struct relabel *relabel,
        const char *because);
