#include "rootfs/layers.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/path.h"
#include "base/str.h"
#include "sys/mount.h"

#define LINKS_MAX 40

static bool is_whiteout(const struct stat *st)
{
    return S_ISCHR(st->st_mode) && st->st_rdev == makedev(0, 0);
}

static int open_in(int layer, const char *path)
{
    return sys_openat2(layer, *path ? path : ".", O_PATH | O_NOFOLLOW, 0,
            RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS);
}

static bool is_opaque(int fd)
{
    static const char *const marks[] = {"trusted.overlay.opaque", "user.overlay.opaque"};
    char path[64];
    char value[8];

    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    for (size_t i = 0; i < ARRAY_SIZE(marks); i++)
        if (getxattr(path, marks[i], value, sizeof(value)) == 1 && value[0] == 'y')
            return true;
    return false;
}

/* Whether the layer hides what those below it have at the path: one of the folders above it is no
 * folder here, or is marked so. */
static bool hides(int layer, const char *path)
{
    char part[PATH_MAX];

    for (const char *slash = strchr(path, '/'); slash; slash = strchr(slash + 1, '/')) {
        struct stat st;
        snprintf(part, sizeof(part), "%.*s", (int)(slash - path), path);
        _cleanup_close_ int fd = open_in(layer, part);
        if (fd < 0)
            return fd != -ENOENT;
        if (fstat(fd, &st) < 0 || !S_ISDIR(st.st_mode) || is_opaque(fd))
            return true;
    }
    return false;
}

/* One path without links, in the topmost layer that has it. */
static int find(const struct rootfs_overlay *layers, const char *path, struct stat *ret_st)
{
    for (size_t i = 0; i <= layers->lower.count; i++) {
        const char *place = i == 0 ? layers->upper : layers->lower.words[i - 1];
        _cleanup_close_ int layer = place ? open(place, O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;
        if (layer < 0)
            continue;
        _cleanup_close_ int fd = open_in(layer, path);
        if (fd >= 0 && fstat(fd, ret_st) == 0)
            return is_whiteout(ret_st) ? -ENOENT : take_fd(&fd);
        if (hides(layer, path))
            return -ENOENT;
    }
    return -ENOENT;
}

/* A link's target takes the place of the part that was the link. */
static int splice_link(int link, char *done, char *rest)
{
    char target[PATH_MAX];
    char joined[PATH_MAX];
    ssize_t length = readlinkat(link, "", target, sizeof(target) - 1);

    if (length < 0)
        return -errno;
    target[length] = '\0';
    if (target[0] == '/')
        *done = '\0';
    if (snprintf(joined, sizeof(joined), "%s/%s", target, rest) >= (int)sizeof(joined))
        return -ENAMETOOLONG;
    memcpy(rest, joined, strlen(joined) + 1);
    return 0;
}

/* Moves the first part of `rest` behind `done`, as a path of its own in `next`. 0: there was none.
 */
static int take_part(char *done, char *rest, char *next)
{
    size_t skip = strspn(rest, "/");
    size_t length = strcspn(rest + skip, "/");

    if (length == 0)
        return 0;
    int fits =
            snprintf(next, PATH_MAX, "%s%s%.*s", done, *done ? "/" : "", (int)length, rest + skip);
    if (length == 1 && rest[skip] == '.')
        snprintf(next, PATH_MAX, "%s", done);
    if (length == 2 && memcmp(rest + skip, "..", 2) == 0) {
        char *slash = strrchr(done, '/');
        *(slash ? slash : done) = '\0';
        snprintf(next, PATH_MAX, "%s", done);
    }
    memmove(rest, rest + skip + length, strlen(rest + skip + length) + 1);
    return fits >= PATH_MAX ? -ENAMETOOLONG : 1;
}

int layers_open(const struct rootfs_overlay *layers, const char *path)
{
    char done[PATH_MAX] = "";
    char rest[PATH_MAX];
    char next[PATH_MAX];
    struct stat st;
    int links = 0;
    int r;

    if (snprintf(rest, sizeof(rest), "%s", path) >= (int)sizeof(rest))
        return -ENAMETOOLONG;
    _cleanup_close_ int fd = find(layers, "", &st);
    while (fd >= 0 && (r = take_part(done, rest, next)) != 0) {
        cleanup_close(&fd);
        fd = r < 0 ? r : find(layers, next, &st);
        if (fd >= 0 && S_ISLNK(st.st_mode)) {
            r = ++links > LINKS_MAX ? -ELOOP : splice_link(fd, done, rest);
            if (r < 0)
                return r;
            continue;
        }
        memcpy(done, next, sizeof(done));
    }
    return fd < 0 ? fd : take_fd(&fd);
}
