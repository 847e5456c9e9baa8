/*
 * Groups below a sandbox's own, as `exec --cgroup` names them: "PATH" for all hierarchies, or
 * "CONTROLLER[,CONTROLLER...]:PATH" for those of v1 that have these controllers, again and again.
 */
#pragma once

#include "cgroup/saved.h"

struct cgroup_sub {
    const char *controllers; /* "cpu,memory"; NULL: every hierarchy */
    const char *path;
};

struct cgroup_sub_list {
    RECORD_LIST(struct cgroup_sub) of;
};

/* Reads the words; in the arena. -EINVAL: a path with "..", a controller that is named twice or not
 * at all, several paths without one. */
int cgroup_sub_parse(struct arena *arena, const struct strv *words, struct cgroup_sub_list *ret,
        struct error *err);

/* Every controller that is named must be one of a v1 hierarchy of the group's, or -EINVAL. */
int cgroup_sub_check(
        const struct cgroup_sub_list *subs, const struct cgroup_saved *saved, struct error *err);

/* What is meant for the hierarchy with these controllers ("cpu,cpuacct"; NULL: v2); NULL: nothing
 * is, or there is no list. */
const struct cgroup_sub *cgroup_sub_find(
        const struct cgroup_sub_list *subs, const char *controllers);
