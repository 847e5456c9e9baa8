/*
 * A control group as it is kept in a sandbox's saved state: enough to find it again without looking
 * at the host's mounts. Made by steps.h, used by group.h; container/ stores it with its record.
 */
#pragma once

#include "base/record.h"
#include "cgroup/layout.h"

/* One v1 hierarchy: its controllers ("cpu,cpuacct", "name=systemd") and our directory in it. */
struct cgroup_saved_path {
    const char *controllers;
    const char *path;
};

struct cgroup_saved {
    const char *manager;                      /* "cgroupfs", "systemd"; NULL: no cgroup was made */
    const char *unified;                      /* our directory in the v2 hierarchy; NULL: none */
    RECORD_LIST(struct cgroup_saved_path) v1; /* JSON object: controllers -> path */
    const char *scope;                        /* systemd: "viv-abc.scope" */
    bool user_manager;                        /* systemd: the user's, not the system's */
    const char *helper;                       /* systemd: the program that speaks to it */
    const char *bus;                          /* systemd: D-Bus address, NULL: the usual one */
    struct strv parents; /* directories above ours that were made too, topmost first */
};

extern const struct record cgroup_saved_record;

/* Our v1 directory for a controller, or NULL. */
const char *cgroup_saved_v1(const struct cgroup_saved *saved, enum cgroup_controller controller);

/* Any one directory that holds all of the group's processes: v2 first, then a v1 one; NULL: none.
 */
const char *cgroup_saved_any(const struct cgroup_saved *saved);
