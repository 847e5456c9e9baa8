#include "rootfs/relabel.h"

#include <string.h>

#include "base/cleanup.h"
#include "plan/run.h"
#include "sys/mount.h"

static int set_label(int fd, const struct stat *st, void *data)
{
    (void)st;
    return sys_set_label(fd, data);
}

static const char *hint(int r)
{
    if (r == -EOPNOTSUPP)
        return "its file system keeps no labels, or one was given to all of it when it was "
               "mounted: leave z and Z out";
    if (r == -EINVAL)
        return "the policy of this kernel does not know the label";
    if (r == -EACCES || r == -EPERM)
        return "the policy, or the owner of the files, does not allow it";
    return r == -ELOOP ? "folders lie too deep in each other" : NULL;
}

static int relabel_apply(const struct step *step, struct plan_run *run, struct error *err)
{
    const struct relabel *relabel = step->args;
    char where[NAME_MAX + 1];
    _cleanup_close_ int top = treewalk_open(&relabel->top, "label", "keeps its labels", err);

    (void)run;
    if (top < 0)
        return top;
    int r = treewalk(top, set_label, (void *)(uintptr_t)relabel->label, where);
    return r < 0 ? error_sys_hint(err, -r, hint(r), "label %s%s%s as %s", relabel->top.path,
                           *where ? ", at " : "", where, relabel->label)
                 : 0;
}

static void relabel_describe(const struct step *step, struct step_text *text)
{
    const struct relabel *relabel = step->args;

    treewalk_calls(text, &relabel->top);
    step_call(text, "setxattr(\"/proc/self/fd/<each>\", \"security.selinux\", %s, %zu, 0)",
            step_quote(text->arena, relabel->label), strlen(relabel->label) + 1);
    step_why(text, "%s and what is below it get the label that the sandbox may use, and keep it",
            relabel->top.path);
}

static const struct step_ops relabel_ops = {
        "relabel", "setxattr(2)", relabel_apply, NULL, relabel_describe, NULL};

void relabel_add(struct plan *plan, enum step_place place, const struct relabel *relabel,
        const char *because)
{
    plan_add(plan, place, &relabel_ops, because, relabel);
}
