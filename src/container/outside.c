#include "container/outside.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/str.h"

#define NULL_DEVICE "/dev/null"
#define PIPE "pipe:"

void outside_stream_names(struct arena *arena, struct strv *ret)
{
    struct strv names = {0};
    bool pipes = false;

    for (int fd = 0; fd < OUTSIDE_STREAMS; fd++) {
        char path[32], name[64];
        snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        ssize_t length = readlink(path, name, sizeof(name) - 1);
        name[length > 0 ? length : 0] = '\0';
        bool is_pipe = str_starts(name, PIPE);
        strv_add(arena, &names, is_pipe ? arena_strdup(arena, name) : "");
        pipes = pipes || is_pipe;
    }
    if (pipes)
        *ret = names;
}

static bool is_null(int fd)
{
    struct stat found;

    return fstat(fd, &found) == 0 && S_ISCHR(found.st_mode) && found.st_rdev == makedev(1, 3);
}

/* Whether the path is the device is asked first: opening another thing may do something. */
static int open_null(void)
{
    struct stat found;

    if (lstat(NULL_DEVICE, &found) < 0 || !S_ISCHR(found.st_mode) || found.st_rdev != makedev(1, 3))
        return -1;
    return open(NULL_DEVICE, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
}

static int null_apply(const struct step *step, struct plan_run *run, struct error *err)
{
    _cleanup_close_ int own = -1;

    (void)step, (void)run, (void)err;
    for (int fd = 0; fd < OUTSIDE_STREAMS; fd++) {
        if (!is_null(fd))
            continue;
        if (own < 0)
            own = open_null();
        if (own >= 0 && is_null(own))
            dup2(own, fd);
    }
    return 0;
}

static void null_describe(const struct step *step, struct step_text *text)
{
    (void)step;
    step_call(text, "openat(AT_FDCWD, \"" NULL_DEVICE "\", O_RDWR|O_NOFOLLOW|O_CLOEXEC)");
    step_call(text, "dup2(<null>, <stream>)");
    step_why(text, "Makes streams that are the host's /dev/null the container's own.");
}

static const struct step_ops null_ops = {
        .name = "dup2",
        .manual = "dup(2)",
        .apply = null_apply,
        .describe = null_describe,
};

void outside_null_step(struct plan *plan)
{
    plan_add(plan, STEP_CHILD, &null_ops, "", NULL);
}
