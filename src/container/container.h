/*
 * A container's life: made, started, entered, signalled, paused, changed, removed. Everything that
 * a program does with a container goes through here; the programs only parse words and print.
 *
 * Errors carry runc's wording where engines read it ("does not exist", "already exists", "not
 * running").
 */
#pragma once

#include "container/build.h"
#include "container/gate.h"
#include "container/state.h"
#include "container/store.h"
#include "plan/run.h"

/* A container found in the store. */
struct container {
    struct arena *arena;
    const struct store *store;
    int dir_fd;
    struct container_state state;
    struct strv warnings; /* what went wrong and stopped nothing: poststop hooks that failed */
};

/* Finds a container and reads its state; -ENOENT when there is none. Closed by the caller. */
int container_open(const struct store *store, const char *id, struct arena *arena,
        struct container *ret, struct error *err);
void container_close(struct container *container);
#define _cleanup_container_ __attribute__((cleanup(container_close)))

/* For what only works on processes of this kernel: -EOPNOTSUPP for a machine, whose process here
 * stands for one inside and has the host's namespaces. `verb` is as in "cannot join". */
int container_is_here(const struct container *container, const char *verb, struct error *err);

/* How it is just now. */
enum spec_status container_status(const struct container *container);

/* The state as the specification has it, of one of many: found out by as few calls as can be.
 * `annotations`: these too. -ENOENT when there is no such container. */
int container_glance(const struct store *store, const char *id, bool annotations,
        struct arena *arena, struct spec_state *ret);

/* What makes a container, while and after it is made: the plan and its run, whose pidfd and pid
 * belong to whoever waits for the container. */
struct container_making {
    struct plan plan;
    struct plan_run run;
    struct container_built built;
    struct container_state state;
};

struct container_planner;

/* How a plan is to be applied. */
struct container_apply {
    const struct plan_watch *watch;
    struct plan_faults faults;
    size_t before;                           /* as in plan/run.h */
    int slow_fd;                             /* as in plan/run.h */
    const struct container_planner *planner; /* NULL: container_plan() makes it */
};

/*
 * Takes the name, applies the plan and saves the state. With request->wait_for_start the container
 * waits at the gate, otherwise its workload runs and the poststart hooks have run when this
 * returns. On failure nothing is left. `request->dir_fd` and `->state` are filled in here.
 */
int container_make(const struct store *store, struct container_request *request,
        const struct container_apply *apply, struct container_making *ret, struct error *err);

/* The same in a folder that the caller has reserved (request->dir_fd): the mark stays, and on
 * failure the folder. */
int container_make_in(struct container_request *request, const struct container_apply *apply,
        struct container_making *ret, struct error *err);

/* Writes config.json into a container's folder of the store. */
int container_save_config(int dir_fd, const char *id, const struct spec *spec, struct error *err);

/* For explain: builds the plan of a request and touches nothing. */
int container_plan(
        struct container_request *request, struct container_making *ret, struct error *err);

/* Another way to make one (a machine, or a machine's workload): what stands in for
 * container_plan(), and what is done with the run before it is applied. */
struct container_planner {
    int (*plan)(void *data, struct container_request *request, struct container_making *ret,
            struct error *err);
    int (*prepare)(void *data, struct plan_run *run, struct error *err);
    void *data;
};
/* The start of a plan of one's own: an empty one, and the state of what is being made. */
void container_plan_begin(struct container_request *request, struct container_making *ret);

/* Runs the poststart hooks of a container whose workload runs; when one of them fails, the workload
 * is killed. For who has made it by container_make_in() without a wait. */
int container_poststart(const struct container *container, struct error *err);

/* Opens the gate of a created container and runs the poststart hooks. When one of them fails, the
 * container is stopped. */
int container_start(struct container *container, struct error *err);

/* The namespaces that a further process has to join: those of the container that are not this
 * process's own. */
uint64_t container_exec_kinds(const struct container_state *state);

/* One more process: applies the plan of an exec request. The caller waits for run.child. */
int container_exec(const struct container_exec_request *request,
        const struct container_apply *apply, struct container_making *ret, struct error *err);

/* Sends a signal to the first process, or to all. A paused container that is sent SIGKILL is let
 * go on, so that it dies at once. */
int container_kill(const struct container *container, int signal, bool all, struct error *err);

/* Freezes all its processes, and lets them go on. */
int container_pause(const struct container *container, struct error *err);
int container_resume(const struct container *container, struct error *err);

/* Takes everything away and runs the poststop hooks; what these do wrong is a warning. A container
 * that still runs is an error unless `force`. */
int container_delete(struct container *container, bool force, struct error *err);

/* Takes away what makers that were killed have left; how many there were. Failures are told, the
 * rest is done. */
int container_sweep(const struct store *store, struct error *err);

/* Milliseconds that killing and removing wait at most. */
#define CONTAINER_PATIENCE_MS 10000
