#include "security/lsm.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/str.h"
#include "plan/run.h"
#include "sys/proc.h"

struct label_args {
    int proc_slot;
    const char *module; /* "AppArmor", "SELinux" */
    const char *path;   /* below the procfs */
    const char *text;   /* what is written */
};

/* Both a kernel without the module and one that does not know the profile say ENOENT. */
static int refused(const struct label_args *args, int proc_fd, int errnum, struct error *err)
{
    error_sys(err, errnum, "write \"%s\" to /proc/%s", args->text, args->path);
    if (errnum == ENOENT && faccessat(proc_fd, args->path, F_OK, 0) < 0)
        return error_append(err, "; this kernel runs without AppArmor: leave the profile out "
                                 "(--security-opt apparmor=unconfined)");
    if (errnum == ENOENT)
        return error_append(err, "; the profile is not loaded: apparmor_parser loads it");
    if (errnum == EINVAL)
        return error_append(err,
                "; the %s label is not known to this kernel, or %s is not active: leave it out, or "
                "load its policy",
                args->module, args->module);
    return -errnum;
}

static int label_apply(const struct step *step, struct plan_run *run, struct error *err)
{
    const struct label_args *args = step->args;

    int r = sys_proc_write(run->fds[args->proc_slot], args->path, args->text);
    return r < 0 ? refused(args, run->fds[args->proc_slot], -r, err) : 0;
}

static void label_describe(const struct step *step, struct step_text *text)
{
    const struct label_args *args = step->args;

    step_call(text, "openat2(<proc>, %s, {flags=O_WRONLY|O_CLOEXEC, resolve=%s}, 24)",
            step_quote(text->arena, args->path), SYS_PROC_RESOLVE_TEXT);
    step_call(text, "write(<file>, %s, %zu)", step_quote(text->arena, args->text),
            strlen(args->text));
    step_why(text, "%s confines the workload with this label.", args->module);
}

static const struct field label_fields[] = {
        FIELD(struct label_args, proc_slot, FIELD_I32),
        FIELD(struct label_args, module, FIELD_STR),
        FIELD(struct label_args, path, FIELD_STR),
        FIELD(struct label_args, text, FIELD_STR),
};
static const struct record label_record = RECORD(struct label_args, label_fields);
static const struct step_ops label_ops = {
        "label", "proc_pid_attr(5)", label_apply, NULL, label_describe, &label_record};

#define LABEL_MAX 4000 /* procfs takes less than a page */

static int add_label(struct plan *plan, enum step_place place, const char *because,
        const struct label_args *label, struct error *err)
{
    if (label->proc_slot < 0)
        return error_set(err, ENOENT, "a label for %s needs a procfs of our own", label->module);
    if (strlen(label->text) > LABEL_MAX || strchr(label->text, '\n'))
        return error_set(err, EINVAL,
                "this is no label for %s: it is longer than %d bytes or has "
                "a line break",
                label->module, LABEL_MAX);
    plan_add(plan, place, &label_ops, because, arena_memdup(plan->arena, label, sizeof(*label)));
    return 0;
}

int lsm_step_apparmor(struct plan *plan, enum step_place place, const char *because, int proc_slot,
        const char *profile, struct error *err)
{
    const struct label_args label = {proc_slot, "AppArmor", "thread-self/attr/apparmor/exec",
            arena_printf(plan->arena, "exec %s", profile)};

    return add_label(plan, place, because, &label, err);
}

int lsm_step_selinux(struct plan *plan, enum step_place place, const char *because, int proc_slot,
        const char *label, struct error *err)
{
    const struct label_args args = {proc_slot, "SELinux", "thread-self/attr/exec", label};

    return add_label(plan, place, because, &args, err);
}

int lsm_step_selinux_keys(struct plan *plan, enum step_place place, const char *because,
        int proc_slot, const char *label, struct error *err)
{
    const struct label_args args = {proc_slot, "SELinux", "thread-self/attr/keycreate", label};

    return add_label(plan, place, because, &args, err);
}
