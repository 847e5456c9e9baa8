#include "spec/check_process.h"

#include <inttypes.h>

#include "base/cleanup.h"
#include "spec/rule.h"

#define UMASK_MAX 0777
#define UCLAMP_MAX 1024 /* SCHED_CAPACITY_SCALE */

static void check_args(struct record_report *report, const struct record_place *place,
        const struct spec_process *process)
{
    const struct record_place *args = RECORD_MEMBER(place, "args");

    if (process->args.count == 0)
        record_fault(report, args, "no command given: write at least the program's name");
    else if (!*process->args.words[0])
        record_fault(report, RECORD_ITEM(args, 0), "the program's name is empty");
    if (process->cwd)
        rule_absolute(report, RECORD_MEMBER(place, "cwd"), process->cwd);
}

static void check_env(
        struct record_report *report, const struct record_place *place, const struct strv *env)
{
    for (size_t i = 0; i < env->count; i++) {
        const char *equals = strchr(env->words[i], '=');
        if (!equals || equals == env->words[i])
            record_fault(report, RECORD_ITEM(place, i), "\"%.64s\" is not of the form NAME=VALUE",
                    env->words[i]);
    }
}

static void warn_capabilities(
        struct record_report *report, const struct record_place *place, const struct strv *names)
{
    for (size_t i = 0; i < names->count; i++) {
        const char *name = names->words[i];
        if (spec_words_have(&spec_capabilities, name))
            continue;
        const char *closest = spec_words_closest(&spec_capabilities, name);
        if (closest)
            record_warn(report, RECORD_ITEM(place, i),
                    "unknown capability \"%.64s\", left out; did you mean \"%s\"?", name, closest);
        else
            record_warn(
                    report, RECORD_ITEM(place, i), "unknown capability \"%.64s\", left out", name);
    }
}

/* The specification wants unknown capabilities to be told, not refused. */
static void check_capabilities(struct record_report *report, const struct record_place *place,
        const struct spec_capabilities *sets)
{
    if (!sets)
        return;
    warn_capabilities(report, RECORD_MEMBER(place, "bounding"), &sets->bounding);
    warn_capabilities(report, RECORD_MEMBER(place, "effective"), &sets->effective);
    warn_capabilities(report, RECORD_MEMBER(place, "inheritable"), &sets->inheritable);
    warn_capabilities(report, RECORD_MEMBER(place, "permitted"), &sets->permitted);
    warn_capabilities(report, RECORD_MEMBER(place, "ambient"), &sets->ambient);
}

static void check_rlimits(struct record_report *report, const struct record_place *place,
        const struct spec_process *process)
{
    for (size_t i = 0; i < process->rlimits.count; i++) {
        const struct spec_rlimit *limit = &process->rlimits.items[i];
        const struct record_place *here = RECORD_ITEM(place, i);
        rule_one_of(
                report, RECORD_MEMBER(here, "type"), limit->type, &spec_rlimits, "resource limit");
        if (limit->soft > limit->hard)
            record_fault(report, RECORD_MEMBER(here, "soft"),
                    "%" PRIu64 " is above the hard limit, %" PRIu64, limit->soft, limit->hard);
        for (size_t j = 0; j < i; j++)
            if (limit->type && str_equal(limit->type, process->rlimits.items[j].type))
                record_fault(report, RECORD_MEMBER(here, "type"),
                        "%.64s was given before, in entry %zu: give each limit once", limit->type,
                        j);
    }
}

static bool is_real_time(const char *policy)
{
    return str_equal(policy, "SCHED_FIFO") || str_equal(policy, "SCHED_RR");
}

static void check_deadline(struct record_report *report, const struct record_place *place,
        const struct spec_scheduler *scheduler)
{
    bool deadline = str_equal(scheduler->policy, "SCHED_DEADLINE");
    bool given = scheduler->runtime || scheduler->deadline || scheduler->period;

    if (given && !deadline)
        record_fault(report, place,
                "runtime, deadline and period are only for SCHED_DEADLINE, the policy is %.64s",
                scheduler->policy ? scheduler->policy : "not given");
    uint64_t period = scheduler->period ? scheduler->period : scheduler->deadline;
    if (deadline && (scheduler->runtime == 0 || scheduler->runtime > scheduler->deadline ||
                            scheduler->deadline > period))
        record_fault(report, place,
                "SCHED_DEADLINE wants 0 < runtime <= deadline <= period, found %" PRIu64
                ", %" PRIu64 ", %" PRIu64,
                scheduler->runtime, scheduler->deadline, scheduler->period);
}

static void check_clamps(struct record_report *report, const struct record_place *place,
        const struct spec_scheduler *scheduler)
{
    const struct opt_u32 *min = &scheduler->utilClampMin;
    const struct opt_u32 *max = &scheduler->utilClampMax;

    if (min->set)
        rule_range(report, RECORD_MEMBER(place, "utilClampMin"), min->value, 0, UCLAMP_MAX, "");
    if (max->set)
        rule_range(report, RECORD_MEMBER(place, "utilClampMax"), max->value, 0, UCLAMP_MAX, "");
    if (min->set && max->set && min->value > max->value)
        record_fault(report, RECORD_MEMBER(place, "utilClampMin"), "%u is above utilClampMax, %u",
                min->value, max->value);
}

static void check_scheduler(struct record_report *report, const struct record_place *place,
        const struct spec_scheduler *scheduler)
{
    if (!scheduler)
        return;
    rule_one_of(report, RECORD_MEMBER(place, "policy"), scheduler->policy, &spec_scheduler_policies,
            "scheduling policy");
    rule_all_of(report, RECORD_MEMBER(place, "flags"), &scheduler->flags, &spec_scheduler_flags,
            "scheduling flag");
    rule_range(report, RECORD_MEMBER(place, "nice"), scheduler->nice, -20, 19, "");
    if (is_real_time(scheduler->policy))
        rule_range(report, RECORD_MEMBER(place, "priority"), scheduler->priority, 1, 99, "");
    else if (scheduler->priority != 0)
        record_fault(report, RECORD_MEMBER(place, "priority"),
                "only SCHED_FIFO and SCHED_RR have a priority: leave it out, or write 0");
    check_deadline(report, place, scheduler);
    check_clamps(report, place, scheduler);
}

static void check_user(struct record_report *report, const struct record_place *place,
        const struct spec_user *user)
{
    if (user->umask.set && user->umask.value > UMASK_MAX)
        record_fault(report, RECORD_MEMBER(place, "umask"), "%u is larger than %d (octal 777)",
                user->umask.value, UMASK_MAX);
    if (user->uid == UINT32_MAX)
        record_fault(report, RECORD_MEMBER(place, "uid"), "%u is no user: the last id is %u",
                user->uid, UINT32_MAX - 1);
    if (user->gid == UINT32_MAX)
        record_fault(report, RECORD_MEMBER(place, "gid"), "%u is no group: the last id is %u",
                user->gid, UINT32_MAX - 1);
}

static void check_io_priority(struct record_report *report, const struct record_place *place,
        const struct spec_io_priority *priority)
{
    if (!priority)
        return;
    rule_one_of(report, RECORD_MEMBER(place, "class"), priority->class, &spec_io_classes,
            "I/O priority class");
    rule_range(report, RECORD_MEMBER(place, "priority"), priority->priority, 0, 7, "");
}

void check_process(struct record_report *report, const struct record_place *place,
        const struct spec_process *process)
{
    check_args(report, place, process);
    check_env(report, RECORD_MEMBER(place, "env"), &process->env);
    check_user(report, RECORD_MEMBER(place, "user"), &process->user);
    check_capabilities(report, RECORD_MEMBER(place, "capabilities"), process->capabilities);
    check_rlimits(report, RECORD_MEMBER(place, "rlimits"), process);
    check_scheduler(report, RECORD_MEMBER(place, "scheduler"), process->scheduler);
    check_io_priority(report, RECORD_MEMBER(place, "ioPriority"), process->ioPriority);
    if (process->oomScoreAdj.set)
        rule_range(report, RECORD_MEMBER(place, "oomScoreAdj"), process->oomScoreAdj.value, -1000,
                1000, "");
    if (process->execCPUAffinity) {
        const struct record_place *here = RECORD_MEMBER(place, "execCPUAffinity");
        rule_number_list(report, RECORD_MEMBER(here, "initial"), process->execCPUAffinity->initial);
        rule_number_list(report, RECORD_MEMBER(here, "final"), process->execCPUAffinity->final);
    }
}

void check_hooks(struct record_report *report, const struct record_place *place,
        const struct spec_hooks *hooks)
{
    const struct {
        const char *name;
        const struct spec_hook_list *list;
    } points[] = {
            {"prestart", &hooks->prestart},
            {"createRuntime", &hooks->createRuntime},
            {"createContainer", &hooks->createContainer},
            {"startContainer", &hooks->startContainer},
            {"poststart", &hooks->poststart},
            {"poststop", &hooks->poststop},
    };

    for (size_t i = 0; i < ARRAY_SIZE(points); i++)
        for (size_t j = 0; j < points[i].list->count; j++) {
            const struct spec_hook *hook = &points[i].list->items[j];
            const struct record_place *list = RECORD_MEMBER(place, points[i].name);
            const struct record_place *here = RECORD_ITEM(list, j);
            if (hook->path)
                rule_absolute(report, RECORD_MEMBER(here, "path"), hook->path);
            if (hook->timeout.set && hook->timeout.value <= 0)
                record_fault(report, RECORD_MEMBER(here, "timeout"),
                        "%" PRId64 " seconds: write 1 or more, or leave it out for no timeout",
                        hook->timeout.value);
            check_env(report, RECORD_MEMBER(here, "env"), &hook->env);
        }
}
