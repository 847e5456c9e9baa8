#include "container/join.h"

#include <fcntl.h>
#include <stdio.h>

#include "ns/namespaces.h"
#include "plan/run.h"
#include "sys/mount.h"
#include "sys/process.h"

static int open_apply(const struct step *step, struct plan_run *run, struct error *err)
{
    const struct container_target *target = step->args;
    char path[64];

    int pidfd = sys_pidfd_open(target->init, 0);
    if (pidfd == -ESRCH)
        return error_set(err, ESRCH, "container not running");
    if (pidfd < 0)
        return error_sys(err, -pidfd, "open the container's first process %d", target->init);
    run->fds[target->pidfd_slot] = pidfd;
    if (target->root_slot < 0)
        return 0;
    snprintf(path, sizeof(path), "/proc/%d/root", target->init);
    int root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (root < 0)
        return error_sys(err, errno, "open the container's root %s", path);
    run->fds[target->root_slot] = root;
    return 0;
}

static void open_describe(const struct step *step, struct step_text *text)
{
    const struct container_target *target = step->args;

    step_call(text, "pidfd_open(%d, 0)", target->init);
    if (target->root_slot >= 0)
        step_call(text, "openat(AT_FDCWD, \"/proc/%d/root\", O_PATH|O_DIRECTORY|O_CLOEXEC)",
                target->init);
    step_why(text, "Takes hold of the container's first process, whose namespaces are joined.");
}

static const struct step_ops open_ops = {
        .name = "pidfd_open",
        .manual = "pidfd_open(2)",
        .apply = open_apply,
        .describe = open_describe,
};

static int join_apply(const struct step *step, struct plan_run *run, struct error *err)
{
    const struct container_target *target = step->args;
    int r = 0;

    if (target->kinds)
        r = sys_setns(run->fds[target->pidfd_slot], (int)target->kinds);
    if (r < 0)
        return error_sys(err, -r, "join the namespaces of pid %d", target->init);
    if (target->root_slot < 0)
        return 0;
    r = sys_fchdir(run->fds[target->root_slot]);
    if (r == 0)
        r = sys_chroot(".");
    return r < 0 ? error_sys(err, -r, "change into the container's root") : 0;
}

static void join_describe(const struct step *step, struct step_text *text)
{
    const struct container_target *target = step->args;
    char flags[NS_FLAGS_TEXT_MAX];

    if (target->kinds)
        step_call(text, "setns(<init>, %s)", ns_flags_text(target->kinds, flags));
    if (target->root_slot >= 0) {
        step_call(text, "fchdir(<root>)");
        step_call(text, "chroot(\".\")");
    }
    step_why(text, "Joins the namespaces that the container's processes are in.");
}

static const struct step_ops join_ops = {
        .name = "setns",
        .manual = "setns(2)",
        .apply = join_apply,
        .describe = join_describe,
};

void container_target_open_step(struct plan *plan, const struct container_target *target)
{
    plan_add(plan, STEP_HOST, &open_ops, "", target);
}

void container_target_join_step(struct plan *plan, const struct container_target *target)
{
    plan_add(plan, STEP_CHILD, &join_ops, "", target);
}
