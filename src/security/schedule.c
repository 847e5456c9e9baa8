#include "security/schedule.h"

#include <linux/ioprio.h>
#include <linux/mempolicy.h>
#include <linux/sched.h>
#include <string.h>
#include <sys/personality.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "plan/run.h"
#include "security/cpulist.h"
#include "security/names.h"
#include "sys/schedule.h"

#define PERSONALITY_LINUX32 0x0008

#ifndef MPOL_WEIGHTED_INTERLEAVE /* Linux 6.9 */
#define MPOL_WEIGHTED_INTERLEAVE 6
#endif

static const struct name policy_rows[] = {
        {"SCHED_OTHER", SCHED_NORMAL},
        {"SCHED_FIFO", SCHED_FIFO},
        {"SCHED_RR", SCHED_RR},
        {"SCHED_BATCH", SCHED_BATCH},
        {"SCHED_ISO", 4},
        {"SCHED_IDLE", SCHED_IDLE},
        {"SCHED_DEADLINE", SCHED_DEADLINE},
};
static const struct names policies = NAMES("scheduling policy", policy_rows);

static const struct name sched_flag_rows[] = {
        {"SCHED_FLAG_RESET_ON_FORK", SCHED_FLAG_RESET_ON_FORK},
        {"SCHED_FLAG_RECLAIM", SCHED_FLAG_RECLAIM},
        {"SCHED_FLAG_DL_OVERRUN", SCHED_FLAG_DL_OVERRUN},
        {"SCHED_FLAG_KEEP_POLICY", SCHED_FLAG_KEEP_POLICY},
        {"SCHED_FLAG_KEEP_PARAMS", SCHED_FLAG_KEEP_PARAMS},
        {"SCHED_FLAG_UTIL_CLAMP_MIN", SCHED_FLAG_UTIL_CLAMP_MIN},
        {"SCHED_FLAG_UTIL_CLAMP_MAX", SCHED_FLAG_UTIL_CLAMP_MAX},
};
static const struct names sched_flags = NAMES("scheduler flag", sched_flag_rows);

struct scheduler_args {
    uint32_t policy;
    uint32_t priority;
    int nice;
    uint64_t flags;
    uint64_t runtime;
    uint64_t deadline;
    uint64_t period;
    uint32_t util_min;
    uint32_t util_max;
    bool other; /* the child's, set from the host */
};

static pid_t target(const struct plan_run *run, bool other)
{
    return other ? run->child : 0;
}

static const char *target_text(bool other)
{
    return other ? "<child>" : "0";
}

static int scheduler_refused(const struct scheduler_args *args, int errnum, struct error *err)
{
    const char *name = names_name(&policies, args->policy);

    error_sys(err, errnum, "set the scheduler to %s", name);
    if (errnum == EPERM)
        return error_append(err, "; real-time policies, deadlines and negative nice values ask for "
                                 "CAP_SYS_NICE in the first user namespace");
    if (errnum == EOPNOTSUPP)
        return error_append(err, "; this kernel has no utilization clamps (CONFIG_UCLAMP_TASK)");
    if (errnum == EBUSY)
        return error_append(err, "; the CPUs cannot take one more deadline of that size");
    if (errnum == EINVAL)
        return error_append(err, "; sched_setattr(2) tells which values go with which policy");
    return -errnum;
}

static int scheduler_apply(const struct step *step, struct plan_run *run, struct error *err)
{
    const struct scheduler_args *args = step->args;
    const struct sys_sched_attr attributes = {
            .size = sizeof(attributes),
            .sched_policy = args->policy,
            .sched_flags = args->flags,
            .sched_nice = args->nice,
            .sched_priority = args->priority,
            .sched_runtime = args->runtime,
            .sched_deadline = args->deadline,
            .sched_period = args->period,
            .sched_util_min = args->util_min,
            .sched_util_max = args->util_max,
    };

    int r = sys_sched_setattr(target(run, args->other), &attributes);
    return r < 0 ? scheduler_refused(args, -r, err) : 0;
}

static void scheduler_describe(const struct step *step, struct step_text *text)
{
    const struct scheduler_args *args = step->args;

    step_call(text,
            "sched_setattr(%s, {size=%zu, sched_policy=%s, sched_flags=%s, sched_nice=%d, "
            "sched_priority=%u, sched_runtime=%llu, sched_deadline=%llu, sched_period=%llu, "
            "sched_util_min=%u, sched_util_max=%u}, 0)",
            target_text(args->other), sizeof(struct sys_sched_attr),
            names_name(&policies, args->policy), names_join(text->arena, &sched_flags, args->flags),
            args->nice, args->priority, (unsigned long long)args->runtime,
            (unsigned long long)args->deadline, (unsigned long long)args->period, args->util_min,
            args->util_max);
    step_why(text, "When and how long the workload gets a CPU.");
}

static const struct field scheduler_fields[] = {
        FIELD(struct scheduler_args, policy, FIELD_U32),
        FIELD(struct scheduler_args, priority, FIELD_U32),
        FIELD(struct scheduler_args, nice, FIELD_I32),
        FIELD(struct scheduler_args, flags, FIELD_U64),
        FIELD(struct scheduler_args, runtime, FIELD_U64),
        FIELD(struct scheduler_args, deadline, FIELD_U64),
        FIELD(struct scheduler_args, period, FIELD_U64),
        FIELD(struct scheduler_args, util_min, FIELD_U32),
        FIELD(struct scheduler_args, util_max, FIELD_U32),
        FIELD(struct scheduler_args, other, FIELD_BOOL),
};
static const struct record scheduler_record = RECORD(struct scheduler_args, scheduler_fields);
static const struct step_ops scheduler_ops = {"sched_setattr", "sched_setattr(2)", scheduler_apply,
        NULL, scheduler_describe, &scheduler_record};

#define UTIL_MAX 1024

static int check_scheduler(const struct security_scheduler *scheduler, struct error *err)
{
    if (scheduler->nice < -20 || scheduler->nice > 19)
        return error_set(err, EINVAL, "the nice value %d is not from -20 to 19", scheduler->nice);
    if (scheduler->priority < 0 || scheduler->priority > 99)
        return error_set(err, EINVAL, "the scheduler's priority %d is not from 0 to 99",
                scheduler->priority);
    if (scheduler->util_min.value > UTIL_MAX || scheduler->util_max.value > UTIL_MAX)
        return error_set(err, EINVAL, "a utilization clamp is above %d", UTIL_MAX);
    return 0;
}

int schedule_step_scheduler(struct plan *plan, enum step_place place, const char *because,
        const struct security_scheduler *scheduler, struct error *err)
{
    uint64_t policy, flags;
    int r = names_value(&policies, scheduler->policy, &policy, err);

    if (r == 0)
        r = names_flags(&sched_flags, &scheduler->flags, &flags, err);
    if (r == 0)
        r = check_scheduler(scheduler, err);
    if (r < 0)
        return r;
    if (scheduler->util_min.set)
        flags |= SCHED_FLAG_UTIL_CLAMP_MIN;
    if (scheduler->util_max.set)
        flags |= SCHED_FLAG_UTIL_CLAMP_MAX;
    struct scheduler_args *args = arena_new(plan->arena, struct scheduler_args);
    *args = (struct scheduler_args){
            .policy = (uint32_t)policy,
            .priority = (uint32_t)scheduler->priority,
            .nice = scheduler->nice,
            .flags = flags,
            .runtime = scheduler->runtime,
            .deadline = scheduler->deadline,
            .period = scheduler->period,
            .util_min = (uint32_t)scheduler->util_min.value,
            .util_max = (uint32_t)scheduler->util_max.value,
            .other = place == STEP_HOST,
    };
    plan_add(plan, place, &scheduler_ops, because, args);
    return 0;
}

static const struct name io_class_rows[] = {
        {"IOPRIO_CLASS_RT", IOPRIO_CLASS_RT},
        {"IOPRIO_CLASS_BE", IOPRIO_CLASS_BE},
        {"IOPRIO_CLASS_IDLE", IOPRIO_CLASS_IDLE},
};
static const struct names io_classes = NAMES("I/O priority class", io_class_rows);

struct io_args {
    uint32_t io_class;
    uint32_t level;
    bool other;
};

static int io_apply(const struct step *step, struct plan_run *run, struct error *err)
{
    const struct io_args *args = step->args;

    int r = sys_ioprio_set(target(run, args->other), args->io_class, args->level);
    if (r == -EPERM)
        return error_sys(err, EPERM,
                "set the I/O priority to %s %u: the real-time class asks for CAP_SYS_NICE or "
                "CAP_SYS_ADMIN in the first user namespace",
                names_name(&io_classes, args->io_class), args->level);
    return r < 0 ? error_sys(err, -r, "set the I/O priority to %s %u",
                           names_name(&io_classes, args->io_class), args->level)
                 : 0;
}

static void io_describe(const struct step *step, struct step_text *text)
{
    const struct io_args *args = step->args;

    step_call(text, "ioprio_set(IOPRIO_WHO_PROCESS, %s, IOPRIO_PRIO_VALUE(%s, %u))",
            target_text(args->other), names_name(&io_classes, args->io_class), args->level);
    step_why(text, "Whose disk requests go first.");
}

static const struct field io_fields[] = {
        FIELD(struct io_args, io_class, FIELD_U32),
        FIELD(struct io_args, level, FIELD_U32),
        FIELD(struct io_args, other, FIELD_BOOL),
};
static const struct record io_record = RECORD(struct io_args, io_fields);
static const struct step_ops io_ops = {
        "ioprio_set", "ioprio_set(2)", io_apply, NULL, io_describe, &io_record};

int schedule_step_io_priority(struct plan *plan, enum step_place place, const char *because,
        const struct security_io_priority *priority, struct error *err)
{
    uint64_t io_class;
    int r = names_value(&io_classes, priority->class_name, &io_class, err);

    if (r < 0)
        return r;
    if (priority->priority < 0 || priority->priority > 7)
        return error_set(err, EINVAL, "the I/O priority %d is not from 0 to 7", priority->priority);
    struct io_args *args = arena_new(plan->arena, struct io_args);
    *args = (struct io_args){(uint32_t)io_class, (uint32_t)priority->priority, place == STEP_HOST};
    plan_add(plan, place, &io_ops, because, args);
    return 0;
}

struct affinity_args {
    const char *cpus;
    bool other;
};

static size_t word_bytes(const struct cpulist *list)
{
    return (list->bits + 63) / 64 * sizeof(uint64_t);
}

static int affinity_apply(const struct step *step, struct plan_run *run, struct error *err)
{
    const struct affinity_args *args = step->args;
    struct cpulist list;

    int r = cpulist_parse(args->cpus, "CPU", &list, err);
    if (r < 0)
        return r;
    r = sys_sched_setaffinity(target(run, args->other), word_bytes(&list), list.words);
    if (r == -EINVAL)
        return error_sys(err, EINVAL,
                "set the CPU affinity to %s: none of these CPUs is there, or the cpuset of the "
                "control group has none of them",
                args->cpus);
    return r < 0 ? error_sys(err, -r, "set the CPU affinity to %s", args->cpus) : 0;
}

/* Numbers as strace lists them: "0 1 7". */
static const char *list_text(struct arena *arena, const char *numbers)
{
    _cleanup_buf_ struct buf text = {0};
    struct cpulist list = {0};

    cpulist_parse(numbers, "", &list, NULL);
    for (size_t i = 0; i < list.bits; i++)
        if (list.words[i / 64] >> (i % 64) & 1)
            buf_printf(&text, "%s%zu", text.length ? " " : "", i);
    return arena_strdup(arena, buf_text(&text));
}

static void affinity_describe(const struct step *step, struct step_text *text)
{
    const struct affinity_args *args = step->args;
    struct cpulist list = {0};

    cpulist_parse(args->cpus, "CPU", &list, NULL);
    step_call(text, "sched_setaffinity(%s, %zu, [%s])", target_text(args->other), word_bytes(&list),
            list_text(text->arena, args->cpus));
    step_why(text, "The CPUs that it may run on.");
}

static const struct field affinity_fields[] = {
        FIELD(struct affinity_args, cpus, FIELD_STR),
        FIELD(struct affinity_args, other, FIELD_BOOL),
};
static const struct record affinity_record = RECORD(struct affinity_args, affinity_fields);
static const struct step_ops affinity_ops = {"sched_setaffinity", "sched_setaffinity(2)",
        affinity_apply, NULL, affinity_describe, &affinity_record};

int schedule_step_affinity(struct plan *plan, enum step_place place, const char *because,
        const char *cpus, bool other, struct error *err)
{
    struct cpulist list;
    int r = cpulist_parse(cpus, "CPU", &list, err);

    if (r < 0)
        return r;
    if (list.bits == 0)
        return error_set(err, EINVAL, "a CPU affinity without a CPU");
    struct affinity_args *args = arena_new(plan->arena, struct affinity_args);
    *args = (struct affinity_args){cpus, other};
    plan_add(plan, place, &affinity_ops, because, args);
    return 0;
}

static const struct name mode_rows[] = {
        {"MPOL_DEFAULT", MPOL_DEFAULT},
        {"MPOL_PREFERRED", MPOL_PREFERRED},
        {"MPOL_BIND", MPOL_BIND},
        {"MPOL_INTERLEAVE", MPOL_INTERLEAVE},
        {"MPOL_LOCAL", MPOL_LOCAL},
        {"MPOL_PREFERRED_MANY", MPOL_PREFERRED_MANY},
        {"MPOL_WEIGHTED_INTERLEAVE", MPOL_WEIGHTED_INTERLEAVE},
};
static const struct names modes = NAMES("memory policy", mode_rows);

static const struct name mode_flag_rows[] = {
        {"MPOL_F_STATIC_NODES", MPOL_F_STATIC_NODES},
        {"MPOL_F_RELATIVE_NODES", MPOL_F_RELATIVE_NODES},
        {"MPOL_F_NUMA_BALANCING", MPOL_F_NUMA_BALANCING},
};
static const struct names mode_flags = NAMES("memory policy flag", mode_flag_rows);

struct memory_args {
    uint32_t mode;
    uint32_t flags;
    const char *nodes;
};

static int memory_apply(const struct step *step, struct plan_run *run, struct error *err)
{
    const struct memory_args *args = step->args;
    struct cpulist list;

    (void)run;
    int r = cpulist_parse(args->nodes, "memory node", &list, err);
    if (r < 0)
        return r;
    /* the kernel reads one bit less than it is told; set_mempolicy(2), NOTES */
    r = sys_set_mempolicy((int)(args->mode | args->flags), list.bits ? list.words : NULL,
            list.bits ? list.bits + 1 : 0);
    if (r == -ENOSYS)
        return error_set(err, ENOSYS, "this kernel has no memory policies (CONFIG_NUMA)");
    return r < 0 ? error_sys(err, -r,
                           "set the memory policy to %s on nodes \"%s\": each must be there and "
                           "have memory, and some policies take none",
                           names_name(&modes, args->mode), args->nodes ? args->nodes : "")
                 : 0;
}

static void memory_describe(const struct step *step, struct step_text *text)
{
    const struct memory_args *args = step->args;
    struct cpulist list = {0};
    const char *mode = names_name(&modes, args->mode);
    const char *flags = names_join(text->arena, &mode_flags, args->flags);

    cpulist_parse(args->nodes, "", &list, NULL);
    if (args->flags)
        mode = arena_printf(text->arena, "%s|%s", mode, flags);
    if (list.bits == 0) {
        step_call(text, "set_mempolicy(%s, NULL, 0)", mode);
    } else {
        _cleanup_buf_ struct buf words = {0};
        for (size_t i = 0; i <= list.bits / 64; i++)
            buf_printf(&words, "%s%#016llx", i ? ", " : "", (unsigned long long)list.words[i]);
        step_call(text, "set_mempolicy(%s, [%s], %zu)", mode, buf_text(&words), list.bits + 1);
    }
    step_why(text, "The memory nodes that its pages come from.");
}

static const struct field memory_fields[] = {
        FIELD(struct memory_args, mode, FIELD_U32),
        FIELD(struct memory_args, flags, FIELD_U32),
        FIELD(struct memory_args, nodes, FIELD_STR),
};
static const struct record memory_record = RECORD(struct memory_args, memory_fields);
static const struct step_ops memory_ops = {
        "set_mempolicy", "set_mempolicy(2)", memory_apply, NULL, memory_describe, &memory_record};

int schedule_step_memory_policy(struct plan *plan, enum step_place place, const char *because,
        const struct security_memory_policy *policy, struct error *err)
{
    uint64_t mode, flags;
    struct cpulist list;
    int r = names_value(&modes, policy->mode, &mode, err);

    if (r == 0)
        r = names_flags(&mode_flags, &policy->flags, &flags, err);
    if (r == 0)
        r = cpulist_parse(policy->nodes, "memory node", &list, err);
    if (r < 0)
        return r;
    if (list.bits >= CPULIST_BITS)
        return error_set(err, EINVAL, "the memory node %zu is too high", list.bits - 1);
    struct memory_args *args = arena_new(plan->arena, struct memory_args);
    *args = (struct memory_args){(uint32_t)mode, (uint32_t)flags, policy->nodes};
    plan_add(plan, place, &memory_ops, because, args);
    return 0;
}

static const struct name domain_rows[] = {
        {"LINUX", PER_LINUX},
        {"LINUX32", PERSONALITY_LINUX32},
};
static const struct names domains = NAMES("personality", domain_rows);
static const struct name domain_call_rows[] = {
        {"PER_LINUX", PER_LINUX},
        {"PER_LINUX32", PERSONALITY_LINUX32},
};
static const struct names domain_calls = NAMES("personality", domain_call_rows);

static const struct name persona_rows[] = {
        {"UNAME26", UNAME26},
        {"ADDR_NO_RANDOMIZE", ADDR_NO_RANDOMIZE},
        {"FDPIC_FUNCPTRS", FDPIC_FUNCPTRS},
        {"MMAP_PAGE_ZERO", MMAP_PAGE_ZERO},
        {"ADDR_COMPAT_LAYOUT", ADDR_COMPAT_LAYOUT},
        {"READ_IMPLIES_EXEC", READ_IMPLIES_EXEC},
        {"ADDR_LIMIT_32BIT", ADDR_LIMIT_32BIT},
        {"SHORT_INODE", SHORT_INODE},
        {"WHOLE_SECONDS", WHOLE_SECONDS},
        {"STICKY_TIMEOUTS", STICKY_TIMEOUTS},
        {"ADDR_LIMIT_3GB", ADDR_LIMIT_3GB},
};
static const struct names persona_flags = NAMES("personality flag", persona_rows);

struct persona_args {
    uint32_t domain;
    uint32_t flags;
};

static int persona_apply(const struct step *step, struct plan_run *run, struct error *err)
{
    const struct persona_args *args = step->args;

    (void)run;
    int r = sys_personality(args->domain | args->flags);
    return r < 0 ? error_sys(
                           err, -r, "set the personality to %s", names_name(&domains, args->domain))
                 : 0;
}

static void persona_describe(const struct step *step, struct step_text *text)
{
    const struct persona_args *args = step->args;
    const char *flags = names_join(text->arena, &persona_flags, args->flags);

    step_call(text, "personality(%s%s%s)", names_name(&domain_calls, args->domain),
            args->flags ? "|" : "", args->flags ? flags : "");
    step_why(text, "How the kernel presents itself to the workload.");
}

static const struct field persona_fields[] = {
        FIELD(struct persona_args, domain, FIELD_U32),
        FIELD(struct persona_args, flags, FIELD_U32),
};
static const struct record persona_record = RECORD(struct persona_args, persona_fields);
static const struct step_ops persona_ops = {
        "personality", "personality(2)", persona_apply, NULL, persona_describe, &persona_record};

int schedule_step_personality(struct plan *plan, enum step_place place, const char *because,
        const struct security_personality *personality, struct error *err)
{
    uint64_t domain, flags;
    int r = names_value(&domains, personality->domain, &domain, err);

    if (r == 0)
        r = names_flags(&persona_flags, &personality->flags, &flags, err);
    if (r < 0)
        return r;
    struct persona_args *args = arena_new(plan->arena, struct persona_args);
    *args = (struct persona_args){(uint32_t)domain, (uint32_t)flags};
    plan_add(plan, place, &persona_ops, because, args);
    return 0;
}
