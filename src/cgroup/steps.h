/*
 * Control groups as steps of a plan: made with their limits before the child exists, entered by the
 * child as its first act, removed on undo. container/ builds plans with this.
 *
 * A plan holds, in this order:
 *
 *     cgroup_steps_create()   host: directories, limits, device rules, descriptors for entering
 *     (the clone step; it passes run->fds[result.unified_slot] as CLONE_INTO_CGROUP if >= 0)
 *     cgroup_steps_attach()   child: enters the v1 hierarchies; must come before the cgroup
 *                             namespace is made and before anything the limits should count
 *
 * With the systemd manager, create adds nothing and attach does all: systemd wants the process that
 * a scope is for. `exec` uses cgroup_steps_join() in place of create.
 */
#pragma once

#include "cgroup/layout.h"
#include "cgroup/request.h"
#include "cgroup/saved.h"
#include "cgroup/sub.h"
#include "plan/plan.h"

/* A limit that could not be set, or a hierarchy that could not be used. */
struct cgroup_refusal {
    const char *what;   /* JSON pointer of the limit, or the path of the directory */
    const char *why;    /* "the memory controller is not delegated to this user" */
    const char *remedy; /* what to do about it */
};

struct cgroup_refused {
    struct cgroup_refusal *items;
    size_t count;
    size_t capacity;
};

#define CGROUP_TASKS_SLOTS_MAX 24

struct cgroup_result {
    int unified_slot; /* of the v2 directory, for CLONE_INTO_CGROUP; -1: there is none */
    int tasks_slots[CGROUP_TASKS_SLOTS_MAX]; /* of the v1 `tasks` files that attach writes to */
    const char *tasks_paths[CGROUP_TASKS_SLOTS_MAX];
    size_t tasks_count;
    struct cgroup_saved saved; /* complete once attach was added; strings in the plan's arena */
    struct cgroup_refused refused;
};

/*
 * Appends what makes the group. Reads the host's cgroup files (which directories exist, which
 * controllers are enabled), changes nothing. Errors: -EINVAL for a path or a limit that makes no
 * sense, -EOPNOTSUPP for a limit that this host's hierarchies do not have (strict), -EACCES for one
 * that this user may not set (strict), -EEXIST when the group has processes already.
 */
int cgroup_steps_create(struct plan *plan, const struct cgroup_layout *layout,
        const struct cgroup_request *request, struct cgroup_result *ret, struct error *err);

/* Appends the child's entering; `result` is what create or join gave. */
int cgroup_steps_attach(struct plan *plan, const struct cgroup_layout *layout,
        const struct cgroup_request *request, struct cgroup_result *result, struct error *err);

/* Appends what request->delegated asks for, to be put where the child has its cgroup namespace;
 * nothing when it is NULL. After cgroup_steps_attach. */
int cgroup_steps_descend(struct plan *plan, const struct cgroup_request *request,
        const struct cgroup_result *result, struct error *err);

/*
 * For one more process in an existing group: opens what attach and the clone step need. `init` is
 * the sandbox's first process: where the group's own directory may hold no processes any more (v2,
 * the workload made cgroups below it), the new one is put beside it. `subs` are paths below the
 * group (`exec --cgroup`), or NULL; -ENOENT where one is not there. After this, cgroup_steps_attach
 * with the same `result`, with manager CGROUP_MANAGER_FS.
 */
int cgroup_steps_join(struct plan *plan, const struct cgroup_saved *saved, pid_t init,
        const struct cgroup_sub_list *subs, struct cgroup_result *ret, struct error *err);
