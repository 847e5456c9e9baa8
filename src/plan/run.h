/*
 * Applying a plan. One run belongs to one process, the host's; the child gets a copy of it by being
 * forked. Not for several threads.
 *
 * Steps placed elsewhere than `host` are carried there by the carrier of that place, which the step
 * that makes the place installs (the clone step for STEP_CHILD, the machine's for STEP_GUEST).
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "plan/plan.h"

/* Brings steps [from, to) to another place, has them applied there and returns the result. `ret_ns`
 * is the time in nanoseconds that they took there. */
typedef int (*plan_carrier)(
        struct plan_run *run, size_t from, size_t to, int64_t *ret_ns, struct error *err);

/* What a watcher of the run wants to see; any may be NULL. */
struct plan_watch {
    void *data;

    /* Before each step, in the host's process. Negative ends the run, which is then undone. */
    int (*before)(void *data, const struct plan_run *run, size_t index, struct error *err);

    /* After each step; `err` is NULL when it went well. */
    void (*after)(void *data, const struct plan_run *run, size_t index, int64_t ns,
            const struct error *err);
};

/* For tests: the step (from 1, as explain numbers them) that fails, or before which this process
 * kills itself with SIGKILL. 0: none. */
struct plan_faults {
    size_t fail_at;
    size_t kill_at;
};

/* For carriers of steps that are applied elsewhere as a whole: fails if one of [from, to) is to. */
int plan_faults_check(const struct plan_run *run, size_t from, size_t to, struct error *err);

struct plan_run {
    const struct plan *plan;
    const struct plan_watch *watch; /* NULL: nobody watches */
    struct plan_faults faults;
    size_t before; /* steps of another plan that this one goes on from: they count in numbers */
    int fds[PLAN_SLOTS_MAX];
    bool child_has[PLAN_SLOTS_MAX]; /* slots that the child has too; see plan_child_made() */
    size_t applied;                 /* steps [0, applied) are done */
    pid_t child;      /* the workload's process as the host sees it; 0 before it is made */
    int child_pidfd;  /* -1 before */
    int child_status; /* wait status, once it has been waited for; -1 before */
    int channel;      /* to the other side: in the host to the child, in the child to the host */
    int report_fd;    /* in a detached child, see plan_child_detach(); else -1 */
    int slow_fd;      /* what takes long to close: the host does while the child works; 0: none */
    bool detached;    /* in the host: the child goes on alone (plan_child_detach) */
    plan_carrier carriers[STEP_PLACES];
    void *carrier_data[STEP_PLACES];
};

/* Start values for a run of this plan. */
void plan_run_init(struct plan_run *run, const struct plan *plan);

/*
 * Applies all steps from the first not yet applied one. On failure everything done so far is undone
 * (see plan_undo) and the error says which step failed, with its number and JSON pointer; when
 * undoing fails too, that is appended.
 */
int plan_apply(struct plan_run *run, struct error *err);

/* Undoes the applied steps from the last to the first and goes on after failures; the first one is
 * returned. */
int plan_undo(struct plan_run *run, struct error *err);

/* Closes the slots and the channel. */
void plan_run_end(struct plan_run *run);

/* Applies one step in this process, with the fault points and the context of the error. */
int plan_apply_step(struct plan_run *run, size_t index, struct error *err);

/*
 * The two ends of the channel to the child (a SOCK_SEQPACKET pair).
 *
 * plan_carry_to_child is the carrier for STEP_CHILD: it sends the numbers and waits for the answer.
 * When the child's program has been replaced (execve succeeded) the channel closes, which counts as
 * success of the last step of the plan; if the child dies before that, the error says how.
 *
 * plan_serve_child never returns: in the child, it applies what the host sends until the workload
 * replaces it, a step fails, or the host is gone.
 */
int plan_carry_to_child(
        struct plan_run *run, size_t from, size_t to, int64_t *ret_ns, struct error *err);
void plan_serve_child(struct plan_run *run) __attribute__((noreturn));

/* In the child, before all else: closes what the host alone is to close, and says so. */
void plan_child_begin(struct plan_run *run);

/* In the host, right after the child was made: notes which slots it has inherited. Slots that the
 * host fills later are sent to the child with the next order. */
void plan_child_made(struct plan_run *run);

/*
 * For a step in the child that waits for something after the host has gone (a container that is
 * created, and started later): tells the host that its part has ended well; the child then applies
 * the rest of the plan alone. Errors go to `report_fd` (plain text) instead of the channel; -1:
 * nowhere. The step may set run->report_fd later, when somebody listens.
 */
int plan_child_detach(struct plan_run *run, int report_fd, struct error *err);
