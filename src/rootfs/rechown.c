#include "rootfs/rechown.h"

#include <fcntl.h>

#include "base/cleanup.h"
#include "plan/run.h"
#include "sys/mount.h"

/* The kernel takes set-user-id bits away with the owner. */
static int give(int fd, const struct stat *st, void *data)
{
    const struct rechown *rechown = data;

    if (st->st_uid == rechown->uid && st->st_gid == rechown->gid)
        return 0;
    return sys_fchownat(fd, "", rechown->uid, rechown->gid, AT_EMPTY_PATH);
}

static const char *hint(int r)
{
    if (r == -EPERM || r == -EINVAL)
        return "the files belong to somebody whose files may not be given away from here: leave U "
               "out";
    if (r == -EROFS)
        return "its file system is read-only: leave U out";
    return r == -ELOOP ? "folders lie too deep in each other" : NULL;
}

static int rechown_apply(const struct step *step, struct plan_run *run, struct error *err)
{
    const struct rechown *rechown = step->args;
    char where[NAME_MAX + 1];
    _cleanup_close_ int top = treewalk_open(&rechown->top, "give away", "keeps its owners", err);

    (void)run;
    if (top < 0)
        return top;
    int r = treewalk(top, give, (void *)(uintptr_t)rechown, where);
    return r < 0 ? error_sys_hint(err, -r, hint(r), "give %s%s%s to %u:%u", rechown->top.path,
                           *where ? ", at " : "", where, rechown->uid, rechown->gid)
                 : 0;
}

static void rechown_describe(const struct step *step, struct step_text *text)
{
    const struct rechown *rechown = step->args;

    treewalk_calls(text, &rechown->top);
    step_call(text, "fchownat(<each>, \"\", %u, %u, AT_EMPTY_PATH)", rechown->uid, rechown->gid);
    step_why(text, "%s and what is below it belong to the sandbox's user, and do so afterwards",
            rechown->top.path);
}

static const struct step_ops rechown_ops = {
        "rechown", "fchownat(2)", rechown_apply, NULL, rechown_describe, NULL};

void rechown_add(struct plan *plan, enum step_place place, const struct rechown *rechown,
        const char *because)
{
    plan_add(plan, place, &rechown_ops, because, rechown);
}
