/*
 * A folder of the host with all that is below it on the same mount, for what a bind mount's source
 * is given: labels, owners. No link is followed below the folder, so that who can write there leads
 * the walk nowhere else; what is mounted there is left alone, and so are the folders that a system
 * is made of.
 */
#pragma once

#include <limits.h>
#include <sys/stat.h>

#include "plan/step.h"

/* Where it begins. */
struct treetop {
    const char *path;
    const char *part; /* of `path`, found inside it; NULL: all of it */
    bool nofollow;    /* a link is taken itself */
};

/* An O_PATH descriptor. `what` is done to it, for errors: "label". -EPERM: a folder that the system
 * is made of, of which `keeps` is said: "keeps its labels". */
int treewalk_open(
        const struct treetop *top, const char *what, const char *keeps, struct error *err);

/* For each file, the folder before what is in it: an O_PATH descriptor. 0 or negative errno. */
typedef int (*treewalk_fn)(int fd, const struct stat *st, void *data);

/* `where` gets the name of what failed, "" where that is the top. -ELOOP: too deep. */
int treewalk(int top_fd, treewalk_fn visit, void *data, char where[NAME_MAX + 1]);

/* The calls that find each file, for a description. */
void treewalk_calls(struct step_text *text, const struct treetop *top);
