#include "security/limits.h"

#include <stdio.h>
#include <sys/resource.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "plan/run.h"
#include "security/names.h"
#include "sys/proc.h"
#include "sys/schedule.h"

static const struct name limit_rows[] = {
        {"RLIMIT_AS", RLIMIT_AS},
        {"RLIMIT_CORE", RLIMIT_CORE},
        {"RLIMIT_CPU", RLIMIT_CPU},
        {"RLIMIT_DATA", RLIMIT_DATA},
        {"RLIMIT_FSIZE", RLIMIT_FSIZE},
        {"RLIMIT_LOCKS", RLIMIT_LOCKS},
        {"RLIMIT_MEMLOCK", RLIMIT_MEMLOCK},
        {"RLIMIT_MSGQUEUE", RLIMIT_MSGQUEUE},
        {"RLIMIT_NICE", RLIMIT_NICE},
        {"RLIMIT_NOFILE", RLIMIT_NOFILE},
        {"RLIMIT_NPROC", RLIMIT_NPROC},
        {"RLIMIT_RSS", RLIMIT_RSS},
        {"RLIMIT_RTPRIO", RLIMIT_RTPRIO},
        {"RLIMIT_RTTIME", RLIMIT_RTTIME},
        {"RLIMIT_SIGPENDING", RLIMIT_SIGPENDING},
        {"RLIMIT_STACK", RLIMIT_STACK},
};
static const struct names limits = NAMES("resource limit", limit_rows);

int limits_number(const char *name)
{
    const struct name *row = names_find(&limits, name);

    return row ? (int)row->value : -1;
}

struct rlimit_args {
    const char *name;
    uint64_t soft;
    uint64_t hard;
    bool other; /* the child's, set from the host */
};

static const char *limit_text(struct arena *arena, uint64_t value)
{
    if (value == RLIM64_INFINITY)
        return "RLIM64_INFINITY";
    if (value > 1024 && value % 1024 == 0)
        return arena_printf(arena, "%llu*1024", (unsigned long long)value / 1024);
    return arena_printf(arena, "%llu", (unsigned long long)value);
}

/* Why the raise was refused, and what would have been possible. */
static int raise_refused(
        const struct rlimit_args *args, const struct rlimit64 *old, struct error *err)
{
    _cleanup_arena_ struct arena arena = {0};

    return error_set(err, EPERM,
            "raise %s to a hard limit of %s: EPERM: CAP_SYS_RESOURCE is missing; up to %s is "
            "possible, or raise the limit of the process that starts this one",
            args->name, limit_text(&arena, args->hard), limit_text(&arena, old->rlim_max));
}

static int rlimit_apply(const struct step *step, struct plan_run *run, struct error *err)
{
    const struct rlimit_args *args = step->args;
    const struct rlimit64 limit = {args->soft, args->hard};
    struct rlimit64 old;
    pid_t pid = args->other ? run->child : 0;
    int number = limits_number(args->name);

    int r = sys_prlimit(pid, number, &limit, NULL);
    if (r == 0)
        return 0;
    if (r == -EPERM && sys_prlimit(pid, number, NULL, &old) == 0 && args->hard > old.rlim_max)
        return raise_refused(args, &old, err);
    return error_sys(err, -r, "set %s to %llu:%llu", args->name, (unsigned long long)args->soft,
            (unsigned long long)args->hard);
}

static void rlimit_describe(const struct step *step, struct step_text *text)
{
    const struct rlimit_args *args = step->args;

    step_call(text, "prlimit64(%s, %s, {rlim_cur=%s, rlim_max=%s}, NULL)",
            args->other ? "<child>" : "0", args->name, limit_text(text->arena, args->soft),
            limit_text(text->arena, args->hard));
    step_why(text, "The workload may not use more than this of one resource.");
}

static const struct field rlimit_fields[] = {
        FIELD(struct rlimit_args, name, FIELD_STR),
        FIELD(struct rlimit_args, soft, FIELD_U64),
        FIELD(struct rlimit_args, hard, FIELD_U64),
        FIELD(struct rlimit_args, other, FIELD_BOOL),
};
static const struct record rlimit_record = RECORD(struct rlimit_args, rlimit_fields);

static const struct step_ops rlimit_ops = {
        "prlimit", "prlimit(2)", rlimit_apply, NULL, rlimit_describe, &rlimit_record};

int limits_step_rlimit(struct plan *plan, enum step_place place, const char *because,
        const char *name, uint64_t soft, uint64_t hard, struct error *err)
{
    uint64_t number;
    int r = names_value(&limits, name, &number, err);

    if (r < 0)
        return r;
    if (soft > hard)
        return error_set(err, EINVAL, "%s: the soft limit %llu is above the hard limit %llu", name,
                (unsigned long long)soft, (unsigned long long)hard);
    struct rlimit_args *args = arena_new(plan->arena, struct rlimit_args);
    *args = (struct rlimit_args){name, soft, hard, place == STEP_HOST};
    plan_add(plan, place, &rlimit_ops, because, args);
    return 0;
}

struct oom_args {
    int proc_slot;
    int score;
    bool other;
};

static void oom_path(const struct oom_args *args, pid_t child, char *path, size_t size)
{
    if (args->other)
        snprintf(path, size, "%d/oom_score_adj", child);
    else
        snprintf(path, size, "thread-self/oom_score_adj");
}

static int oom_apply(const struct step *step, struct plan_run *run, struct error *err)
{
    const struct oom_args *args = step->args;
    char path[64];
    char value[16];

    oom_path(args, run->child, path, sizeof(path));
    snprintf(value, sizeof(value), "%d", args->score);
    int r = sys_proc_write(run->fds[args->proc_slot], path, value);
    if (r == -EACCES || r == -EPERM)
        return error_sys(err, -r,
                "set the OOM score adjustment to %d: a value below the one that was inherited asks "
                "for CAP_SYS_RESOURCE",
                args->score);
    return r < 0 ? error_sys(err, -r, "write %d to /proc/%s", args->score, path) : 0;
}

static void oom_describe(const struct step *step, struct step_text *text)
{
    const struct oom_args *args = step->args;
    const char *path = args->other ? "<child>/oom_score_adj" : "thread-self/oom_score_adj";
    const char *value = arena_printf(text->arena, "%d", args->score);

    step_call(text, "openat2(<proc>, \"%s\", {flags=O_WRONLY|O_CLOEXEC, resolve=%s}, 24)", path,
            SYS_PROC_RESOLVE_TEXT);
    step_call(text, "write(<file>, \"%s\", %zu)", value, strlen(value));
    step_why(text, "How readily the kernel kills the workload when memory runs out.");
}

static const struct field oom_fields[] = {
        FIELD(struct oom_args, proc_slot, FIELD_I32),
        FIELD(struct oom_args, score, FIELD_I32),
        FIELD(struct oom_args, other, FIELD_BOOL),
};
static const struct record oom_record = RECORD(struct oom_args, oom_fields);

static const struct step_ops oom_ops = {
        "oom_score_adj", "proc(5)", oom_apply, NULL, oom_describe, &oom_record};

int limits_step_oom(struct plan *plan, enum step_place place, const char *because, int proc_slot,
        int64_t score, struct error *err)
{
    if (score < -1000 || score > 1000)
        return error_set(err, EINVAL, "the OOM score adjustment %lld is not from -1000 to 1000",
                (long long)score);
    if (proc_slot < 0)
        return error_set(err, ENOENT, "the OOM score adjustment needs a procfs of our own");
    struct oom_args *args = arena_new(plan->arena, struct oom_args);
    *args = (struct oom_args){proc_slot, (int)score, place == STEP_HOST};
    plan_add(plan, place, &oom_ops, because, args);
    return 0;
}
