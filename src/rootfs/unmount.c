#include "rootfs/unmount.h"

#include <stdio.h>

#include "base/cleanup.h"
#include "plan/run.h"
#include "rootfs/inroot.h"
#include "sys/mount.h"

struct unmount_args {
    const char *target;
    int root_slot, proc_slot;
};

static int unmount_apply(const struct step *step, struct plan_run *run, struct error *err)
{
    const struct unmount_args *args = step->args;
    char path[64];
    _cleanup_close_ int target = inroot_open(
            run->fds[args->root_slot], args->target, INROOT_MUST_EXIST, INROOT_FOLLOW, err);

    if (target < 0)
        return error_prefix(err, "unmount %s", args->target);
    /* by descriptor, through the verified procfs: the path may lead elsewhere by now */
    snprintf(path, sizeof(path), "self/fd/%d", target);
    int r = sys_fchdir(run->fds[args->proc_slot]);
    if (r == 0)
        r = sys_umount2(path, MNT_DETACH);
    return r < 0 ? error_sys_hint(err, -r, r == -EINVAL ? "nothing is mounted there" : NULL,
                           "unmount %s", args->target)
                 : 0;
}

static void unmount_describe(const struct step *step, struct step_text *text)
{
    const struct unmount_args *args = step->args;

    inroot_call(text, args->target, INROOT_FOLLOW);
    step_call(text, "fchdir(<proc>)");
    step_call(text, "umount2(\"self/fd/<target>\", MNT_DETACH)");
    step_why(text, "what is mounted on %s goes away", args->target);
}

static const struct step_ops unmount_ops = {
        "umount", "umount2(2)", unmount_apply, NULL, unmount_describe, NULL};

void unmount_add(
        struct plan *plan, const char *target, int root_slot, int proc_slot, const char *because)
{
    struct unmount_args *args = arena_new(plan->arena, struct unmount_args);

    *args = (struct unmount_args){target, root_slot, proc_slot};
    plan_add(plan, STEP_CHILD, &unmount_ops, because, args);
}
