#include "ns/join.h"

#include <fcntl.h>
#include <linux/nsfs.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "sys/process.h"

struct join {
    enum ns_kind kind;
    const char *path;
    int slot;
};

static void why_join(const struct join *join, struct step_text *text)
{
    step_why(text, "joins the %s namespace at %s: %s", ns_kinds[join->kind].name, join->path,
            ns_kinds[join->kind].gives);
}

/* Fails unless the descriptor is a namespace of the wanted kind. */
static int check_kind(int fd, const struct join *join, struct error *err)
{
    const char *wanted = ns_kinds[join->kind].name;
    int found = ioctl(fd, NS_GET_NSTYPE);

    if (found < 0)
        return error_set(err, EINVAL,
                "join the %s namespace at %s: that is no namespace; give a file like "
                "/proc/PID/ns/%s or a bind mount of one",
                wanted, join->path, ns_kinds[join->kind].file);
    int kind = ns_kind_from_flag((unsigned)found);
    if (kind == (int)join->kind)
        return 0;
    return error_set(err, EINVAL,
            "join the %s namespace at %s: that is a %s namespace, not a %s namespace", wanted,
            join->path, kind < 0 ? "different" : ns_kinds[kind].name, wanted);
}

static int open_apply(const struct step *step, struct plan_run *run, struct error *err)
{
    const struct join *join = step->args;
    _cleanup_close_ int fd = open(join->path, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return error_sys_hint(err, errno,
                errno == ENOENT ? "has the process that held it ended?" : NULL,
                "join the %s namespace at %s: open it", ns_kinds[join->kind].name, join->path);
    int r = check_kind(fd, join, err);
    if (r < 0)
        return r;
    run->fds[join->slot] = take_fd(&fd);
    return 0;
}

static void open_describe(const struct step *step, struct step_text *text)
{
    const struct join *join = step->args;

    step_call(
            text, "openat(AT_FDCWD, %s, O_RDONLY|O_CLOEXEC)", step_quote(text->arena, join->path));
    step_call(text, "ioctl(<ns-%s>, NS_GET_NSTYPE)", ns_kinds[join->kind].file);
    why_join(join, text);
}

static const struct step_ops open_ops = {
        "open namespace", "ioctl_ns(2)", open_apply, NULL, open_describe, NULL};

static int join_apply(const struct step *step, struct plan_run *run, struct error *err)
{
    const struct join *join = step->args;
    int r = sys_setns(run->fds[join->slot], (int)ns_kinds[join->kind].flag);

    if (r < 0)
        return error_sys_hint(err, -r,
                r == -EPERM ? "CAP_SYS_ADMIN over the user namespace that owns it is needed" : NULL,
                "join the %s namespace at %s", ns_kinds[join->kind].name, join->path);
    close(run->fds[join->slot]);
    run->fds[join->slot] = -1;
    return 0;
}

static void join_describe(const struct step *step, struct step_text *text)
{
    const struct join *join = step->args;

    step_call(text, "setns(<ns-%s>, %s)", ns_kinds[join->kind].file, ns_kinds[join->kind].symbol);
    why_join(join, text);
}

static const struct step_ops join_ops = {
        "setns", "setns(2)", join_apply, NULL, join_describe, NULL};

static const char *because_of(const struct ns_choice *choice)
{
    return choice->because ? choice->because : "";
}

static void add_join(struct plan *plan, enum step_place place, const struct step_ops *ops,
        const struct ns_set *set, enum ns_kind kind)
{
    struct join *join = arena_new(plan->arena, struct join);

    *join = (struct join){kind, set->of[kind].path, set->of[kind].slot};
    plan_add(plan, place, ops, because_of(&set->of[kind]), join);
}

void ns_add_open_joins(struct plan *plan, struct ns_set *set)
{
    for (int kind = 0; kind < NS_KINDS; kind++) {
        if (set->of[kind].mode != NS_JOIN)
            continue;
        set->of[kind].slot = plan_new_slot(plan);
        add_join(plan, STEP_HOST, &open_ops, set, (enum ns_kind)kind);
    }
}

void ns_add_joins(struct plan *plan, const struct ns_set *set)
{
    for (int kind = 0; kind < NS_KINDS; kind++)
        if (set->of[kind].mode == NS_JOIN && kind != NS_PID)
            add_join(plan, STEP_CHILD, &join_ops, set, (enum ns_kind)kind);
}

int ns_pid_enter(
        const struct ns_set *set, const struct plan_run *run, int *saved, struct error *err)
{
    *saved = -1;
    if (set->of[NS_PID].mode != NS_JOIN)
        return 0;
    _cleanup_close_ int own = open("/proc/self/ns/pid", O_RDONLY | O_CLOEXEC);
    if (own < 0)
        return error_sys(err, errno, "open /proc/self/ns/pid, to come back to it");
    int r = sys_setns(run->fds[set->of[NS_PID].slot], CLONE_NEWPID);
    if (r < 0)
        return error_sys_hint(err, -r,
                r == -EINVAL ? "it has to lie below the PID namespace of this process"
                             : "CAP_SYS_ADMIN over the user namespace that owns it is needed",
                "join the PID namespace at %s", set->of[NS_PID].path);
    *saved = take_fd(&own);
    return 0;
}

int ns_pid_return(int *saved, struct error *err)
{
    if (*saved < 0)
        return 0;
    int r = sys_setns(*saved, CLONE_NEWPID);
    cleanup_close(saved);
    return r < 0 ? error_sys(err, -r, "come back to the PID namespace of this process") : 0;
}

void ns_pid_calls(const struct ns_set *set, bool enter, struct step_text *text)
{
    if (set->of[NS_PID].mode != NS_JOIN)
        return;
    if (enter)
        step_call(text, "openat(AT_FDCWD, \"/proc/self/ns/pid\", O_RDONLY|O_CLOEXEC)");
    step_call(text, "setns(<%s>, CLONE_NEWPID)", enter ? "ns-pid" : "own-pid");
}
