/*
 * Transient scopes (systemd's CONTROL_GROUP_INTERFACE): names, and the properties that limits map
 * to. The D-Bus talk itself is done by a small program of its own, viv-systemd, so that no other
 * program needs systemd's library; it is started only for this. Used by steps.h and group.h.
 *
 * The order that it reads from standard input is JSON:
 *
 *     {"call": "start", "bus": "unix:path=…", "user": false, "unit": "viv-abc.scope",
 *      "properties": [["MemoryMax", "t", "67108864"], ["Slice", "s", "system.slice"]], "pids":
 * [12]}
 *
 * call: start, stop, set (properties of a running unit). Each property has its D-Bus signature; a
 * value of a list type is a JSON array. The answer is {"controlGroup": "/system.slice/…"} with exit
 * status 0, or a line of text on standard error and status 1.
 */
#pragma once

#include "cgroup/request.h"

struct cgroup_unit {
    const char *slice;
    const char *name;  /* "viv-abc.scope" */
    const char *below; /* path below a hierarchy's mount: "/system.slice/viv-abc.scope" */
};

/* "slice:prefix:name"; slice and prefix may be empty. -EINVAL for names that systemd refuses. */
int cgroup_systemd_unit(const char *path, bool user, uid_t uid, struct arena *arena,
        struct cgroup_unit *ret, struct error *err);

/* The order that starts the scope, without "pids". `unified`: the host's memory and CPU limits are
 * those of v2. */
int cgroup_systemd_start_order(const struct cgroup_request *request, const struct cgroup_unit *unit,
        bool unified, struct arena *arena, const char **ret_json, struct error *err);

/* The order that stops it. */
const char *cgroup_systemd_stop_order(
        const char *bus, bool user, const char *unit, struct arena *arena);

/* The order that changes a running scope's properties to these limits, so that systemd does not set
 * back what is written to the files; NULL when no limit has a property. */
const char *cgroup_systemd_set_order(const char *bus, bool user, const char *unit,
        const struct cgroup_limits *limits, bool unified, struct arena *arena);

/* Starts the helper with an order (and `pid` for "pids" unless 0) and waits for it, for at most a
 * minute. *ret_group is the scope's cgroup as systemd tells it, or "". */
int cgroup_systemd_call(const char *helper, const char *order, pid_t pid, struct arena *arena,
        const char **ret_group, struct error *err);

/* The step that makes a transient scope for the child. */
struct cgroup_scope_args {
    const char *helper;
    const char *unit;
    const char *below; /* where systemd is expected to put it, below each hierarchy's mount */
    const char *order; /* the JSON for the helper, without the process */
    const char *stop;  /* the JSON that stops it */
};
extern const struct step_ops cgroup_scope_ops;
