#include "rootfs/foresee.h"

#include <fcntl.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/path.h"
#include "base/str.h"
#include "rootfs/layers.h"
#include "sys/mount.h"

#include <linux/openat2.h>

struct noted {
    const char *target;
    const char *source; /* on the host; NULL: empty at first */
    struct noted *before;
    size_t number;
};

struct foresight {
    struct arena *arena;
    const char *root;
    const struct rootfs_overlay *layers; /* NULL: the root is a folder */
    struct noted *last;
};

struct foresight *foresight_new(
        struct arena *arena, const char *root_path, const struct rootfs_overlay *layers)
{
    struct foresight *foresight = arena_new(arena, struct foresight);

    *foresight = (struct foresight){arena, root_path, layers, NULL};
    return foresight;
}

size_t foresight_now(const struct foresight *foresight)
{
    return foresight->last ? foresight->last->number : 0;
}

void foresight_mount(
        struct foresight *foresight, const char *target, const char *type, const char *source)
{
    struct noted *noted = arena_new(foresight->arena, struct noted);

    if (!source && str_equal(type, "proc"))
        source = "/proc"; /* looks alike everywhere */
    else if (!source && str_equal(type, "sysfs"))
        source = "/sys";
    *noted = (struct noted){target, source, foresight->last, foresight_now(foresight) + 1};
    foresight->last = noted;
}

static bool look(const char *root, const char *path, struct stat *ret_st)
{
    _cleanup_close_ int top = open(root, O_PATH | O_CLOEXEC);

    if (top < 0)
        return false;
    if (!*path)
        return fstat(top, ret_st) == 0;
    _cleanup_close_ int fd = sys_openat2(top, path, O_PATH, 0, RESOLVE_IN_ROOT);
    return fd >= 0 && fstat(fd, ret_st) == 0;
}

static bool look_through(const struct rootfs_overlay *layers, const char *path, struct stat *ret_st)
{
    _cleanup_close_ int fd = layers_open(layers, path);

    return fd >= 0 && fstat(fd, ret_st) == 0;
}

/* The last mount that the path lies in decides; an earlier step's mount point is there as well. */
static bool exists(
        const struct foresight *foresight, size_t when, const char *path, struct stat *ret_st)
{
    *ret_st = (struct stat){0};
    for (const struct noted *noted = foresight->last; noted; noted = noted->before) {
        if (noted->number > when)
            continue;
        if (path_is_below(noted->target, path) && !str_equal(noted->target, path))
            return true;
        if (!path_is_below(path, noted->target))
            continue;
        const char *rest = path + strlen(noted->target);
        if (noted->source)
            return !foresight->root || look(noted->source, rest, ret_st);
        return *rest == '\0';
    }
    if (!foresight->root)
        return true;
    return foresight->layers ? look_through(foresight->layers, path, ret_st)
                             : look(foresight->root, path, ret_st);
}

size_t foresight_missing(
        const struct foresight *foresight, size_t when, const char *path, struct stat *ret_st)
{
    _cleanup_arena_ struct arena arena = {0};
    struct stat st;
    size_t missing = 0;

    while (path[1] && !exists(foresight, when, path, missing || !ret_st ? &st : ret_st)) {
        path = path_dir(&arena, path);
        missing++;
    }
    return missing;
}
