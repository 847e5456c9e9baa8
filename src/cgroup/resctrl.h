/*
 * Intel RDT and AMD QoS: the resctrl file system, whose groups give processes a share of the cache
 * and of the memory's bandwidth, and count what they use (Documentation/arch/x86/resctrl.rst,
 * runtime-spec config-linux.md#intelRdt). Plain data in, steps out; container/ fills it.
 */
#pragma once

#include "plan/plan.h"

struct resctrl_request {
    const char *root;    /* where resctrl is mounted: "/sys/fs/resctrl" */
    const char *clos_id; /* an administrator's group, "/" for the default one; NULL: one of our own,
                            named after the container */
    const char *id;      /* the container's */
    struct strv lines;   /* of the schemata file: "L3:0=f", "MB:0=20" */
    bool monitor;        /* counts for the container alone: mon_groups/<id> */
};

/* What was made and has to go with the container; in its state. */
struct resctrl_saved {
    const char *group;   /* the directory that its processes are in; NULL: none */
    bool own;            /* and it is ours to remove */
    const char *monitor; /* the directory below mon_groups; NULL: none */
};
extern const struct record resctrl_saved_record;

/* Where resctrl is: RESCTRL_ROOT of the environment (a tree made for a test), or its usual place.
 */
const char *resctrl_root(void);

/*
 * Appends the host step that makes the groups, writes the schemata and puts the child in; behind
 * the clone step. -EINVAL for a name that leads elsewhere, -ENOENT when a group is named, nothing
 * is set, and it is not there; -EOPNOTSUPP where there is no resctrl.
 */
int resctrl_add(struct plan *plan, const struct resctrl_request *request, struct resctrl_saved *ret,
        struct error *err);

/* Writes lines into the group's schemata. */
int resctrl_update(const struct resctrl_saved *saved, const struct strv *lines, struct error *err);

/* Removes what was made; what is gone already is fine. */
int resctrl_remove(const struct resctrl_saved *saved, struct error *err);
