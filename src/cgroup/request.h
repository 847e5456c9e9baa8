/*
 * What a sandbox's control group shall be: where, by which manager, with which limits. Plain data
 * that container/ fills for steps.h; owns nothing.
 */
#pragma once

#include <sys/types.h>

#include "cgroup/limits.h"
#include "plan/step.h"

enum cgroup_manager { CGROUP_MANAGER_FS, CGROUP_MANAGER_SYSTEMD, CGROUP_MANAGER_NONE };

/* What systemd should be told beside the limits: property name -> text of its value in GVariant
 * notation ("uint64 5000", "'text'", "true"), as the annotation org.systemd.property.* has it. */
struct cgroup_systemd {
    const char *helper; /* path of viv-systemd */
    const char *bus;    /* D-Bus address; NULL: the system's or the user's own */
    bool user;          /* the user's manager */
    const char *description;
    struct record_map properties;
};

struct cgroup_request {
    enum cgroup_manager manager;

    /* cgroupfs: "/a/b" is below each mount, "b" beside (v2) or below (v1) our own cgroup.
     * systemd: "slice:prefix:name". Parts may not be "..". */
    const char *path;

    const struct cgroup_limits *limits; /* NULL: none */
    const char *pointer;                /* where they stand: "/linux/resources" */

    /* A limit that cannot be set is an error. Otherwise it is left out and told in `refused`, as
     * long as that can be known beforehand. */
    bool strict;

    enum step_place place; /* STEP_HOST, or STEP_GUEST with a guest's layout */

    /* v2: the directory and the files that delegation needs are given to this user, so that the
     * sandbox's root can make cgroups of its own. */
    bool delegate;
    uid_t delegate_uid;
    gid_t delegate_gid;

    /* v2 alone. A name below the scope: that is then the group, with the limits. */
    const char *subgroup;
    /* v2 alone. A name below the group, where the child goes once its cgroup namespace is made
     * (cgroup_steps_descend); the group's limits hold there, and the user above owns it. */
    const char *delegated;

    struct cgroup_systemd systemd;
};
