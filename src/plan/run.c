#include "plan/run.h"

#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"

static int64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

void plan_run_init(struct plan_run *run, const struct plan *plan)
{
    *run = (struct plan_run){
            .plan = plan, .child_pidfd = -1, .child_status = -1, .channel = -1, .report_fd = -1};
    for (size_t i = 0; i < PLAN_SLOTS_MAX; i++)
        run->fds[i] = -1;
}

void plan_run_end(struct plan_run *run)
{
    for (int i = 0; i < run->plan->slots; i++)
        cleanup_close(&run->fds[i]);
    cleanup_close(&run->child_pidfd);
    cleanup_close(&run->channel);
}

/* "step 12 (mount, /mounts/0)" in front of what went wrong. */
static int add_context(const struct plan_run *run, size_t index, struct error *err)
{
    const struct step *step = &run->plan->steps[index];
    size_t number = run->before + index + 1;

    if (err && err->exit_status) /* about the workload's own command: the step says nothing more */
        return -err->errnum;
    if (!*step->because)
        return error_prefix(err, "step %zu (%s)", number, step->ops->name);
    return error_prefix(
            err, "step %zu (%s, config.json %s)", number, step->ops->name, step->because);
}

int plan_faults_check(const struct plan_run *run, size_t from, size_t to, struct error *err)
{
    size_t number = run->faults.fail_at;

    if (number <= run->before + from || number > run->before + to)
        return 0;
    error_set(err, ECANCELED, "made to fail, for a test");
    return add_context(run, number - run->before - 1, err);
}

int plan_apply_step(struct plan_run *run, size_t index, struct error *err)
{
    const struct step *step = &run->plan->steps[index];

    int r = plan_faults_check(run, index, index + 1, err);
    if (r < 0)
        return r;
    r = step->ops->apply(step, run, err);
    return r < 0 ? add_context(run, index, err) : 0;
}

/* The end of the run of steps from `from` that one hand-over covers. */
static size_t segment_end(const struct plan_run *run, size_t from)
{
    const struct plan *plan = run->plan;
    bool single = run->watch || run->faults.kill_at;
    size_t to = from + 1;

    while (!single && to < plan->count && plan->steps[to].place == plan->steps[from].place)
        to++;
    return to;
}

static int apply_segment(
        struct plan_run *run, size_t from, size_t to, int64_t *ret_ns, struct error *err)
{
    enum step_place place = run->plan->steps[from].place;

    if (place != STEP_HOST) {
        if (!run->carriers[place])
            return error_set(err, ENOTCONN, "step %zu: the %s does not exist yet", from + 1,
                    step_place_name(place));
        return run->carriers[place](run, from, to, ret_ns, err);
    }
    int64_t start = run->watch ? now_ns() : 0;
    for (size_t i = from; i < to; i++) {
        int r = plan_apply_step(run, i, err);
        if (r < 0)
            return r;
        run->applied = i + 1;
    }
    *ret_ns = run->watch ? now_ns() - start : 0;
    return 0;
}

static int watched_segment(struct plan_run *run, size_t from, size_t to, struct error *err)
{
    const struct plan_watch *watch = run->watch;
    int64_t ns = 0;
    int r = 0;

    if (watch && watch->before)
        r = watch->before(watch->data, run, from, err);
    if (r < 0)
        return r;
    r = apply_segment(run, from, to, &ns, err);
    if (watch && watch->after)
        watch->after(watch->data, run, from, ns, r < 0 ? err : NULL);
    return r;
}

int plan_apply(struct plan_run *run, struct error *err)
{
    while (run->applied < run->plan->count) {
        size_t from = run->applied;
        size_t to = segment_end(run, from);
        if (run->faults.kill_at == from + 1)
            raise(SIGKILL);
        int r = watched_segment(run, from, to, err);
        if (r < 0) {
            struct error undo_error = ERROR_NONE;
            if (plan_undo(run, &undo_error) < 0)
                error_append(err, "; taking it back failed too: %s", undo_error.text);
            return r;
        }
        run->applied = run->detached ? run->plan->count : to;
    }
    return 0;
}

int plan_undo(struct plan_run *run, struct error *err)
{
    int result = 0;

    while (run->applied > 0) {
        const struct step *step = &run->plan->steps[--run->applied];
        struct error step_error = ERROR_NONE;
        if (!step->ops->undo || step->place != STEP_HOST)
            continue;
        int r = step->ops->undo(step, run, &step_error);
        if (r < 0 && result == 0) {
            add_context(run, run->applied, &step_error);
            if (err)
                *err = step_error;
            result = r;
        }
    }
    return result;
}
