/* A small sandbox for the tests of control groups: a plan of the group's own steps and a plain
 * clone, with a C function as the workload. No other part of a container is there. */
#pragma once

#include <sys/types.h>

#include "cgroup/group.h"
#include "cgroup/stats.h"
#include "cgroup/steps.h"
#include "plan/run.h"

struct sandbox {
    struct arena arena;
    struct cgroup_layout layout;
    struct cgroup_request request;
    struct cgroup_limits limits;
    struct cgroup_result result;
    struct plan plan;
    struct plan_run run;
    struct error err;
    void (*work)(void *data); /* in the child; its return is exit status 0 */
    void *data;
    pid_t pid;
};

/* The host as it is (or as it is seen from here), a path of this test's own, strict. */
void sandbox_init(struct sandbox *box);

/* Makes the plan, without applying it. */
int sandbox_plan(struct sandbox *box);

/* Makes and applies the plan; the work then runs. 0 or negative, and box->err says why. */
int sandbox_start(struct sandbox *box, void (*work)(void *), void *data);

/* Runs one more process in the group, by cgroup_steps_join; its pid or negative errno. */
pid_t sandbox_join(struct sandbox *box, void (*work)(void *), void *data);

/* The wait status of the work. */
int sandbox_wait(struct sandbox *box);

/* Kills what is left and removes the group: what cgroup_remove() said. */
int sandbox_end(struct sandbox *box);

/* The text of a file of the group, v1 or v2; "" when it has none. Static storage. */
const char *sandbox_read(
        struct sandbox *box, enum cgroup_controller controller, const char *v1, const char *v2);

/* Whether the controller is on v2 here; and whether it is anywhere. */
bool sandbox_is_v2(const struct sandbox *box, enum cgroup_controller controller);
bool sandbox_has(const struct sandbox *box, enum cgroup_controller controller);

/* Whether the group's directories are all gone. */
bool sandbox_is_gone(struct sandbox *box);
