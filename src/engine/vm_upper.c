#include "engine/vm_upper.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/path.h"

#define SHARED "machine"
#define PASSING "passing"      /* there instead, where it could not be shared */
#define NOBODYS_ID 4294967294U /* outside every range of ids that sandboxes are given */
#define DEPTH_MAX 512

static const char *const marks[] = {"trusted.overlay.opaque", "user.overlay.opaque"};

bool vm_upper_is_wanted(const struct engine *engine, const struct sandbox_meta *meta)
{
    return !meta->remove && !engine->host.rootless && (meta->image_id || meta->image_folder);
}

/* vm_upper_prepare() has found that it could not be shared. */
static bool passes(const struct engine *engine, const struct sandbox_meta *meta)
{
    return meta->id && access(arena_printf(engine->arena, "%s/images/roots/%s/" PASSING,
                                      engine->data_root, meta->id),
                               F_OK) == 0;
}

int vm_upper_is_kept(
        const struct engine *engine, const struct sandbox_meta *meta, struct error *err)
{
    const char *why = "upon a folder, which it only reads";

    if (vm_upper_is_wanted(engine, meta)) {
        if (!passes(engine, meta))
            return 0;
        why = "whose data root is on a file system that cannot hold an overlay's marks";
    } else if (meta->remove) {
        why = "that is removed when it ends (--rm)";
    } else if (engine->host.rootless) {
        why = "of an ordinary user's";
    }
    return error_set(err, EOPNOTSUPP,
            "sandbox \"%s\" is a machine %s: what it has written is in its own memory; copy files "
            "out with `viv exec %s tar c …`, or share a folder (-v)",
            meta->name, why, meta->name);
}

const char *vm_upper_folder(struct arena *arena, const char *upper)
{
    return path_join(arena, path_dir(arena, upper), SHARED);
}

/* Each part may have been moved already, by a start that was killed half-way. */
static int move_part(struct arena *arena, int root, const char *part)
{
    const char *moved = arena_printf(arena, SHARED "/%s", part);
    struct stat st;

    if (fstatat(root, part, &st, AT_SYMLINK_NOFOLLOW) == 0) {
        if (S_ISLNK(st.st_mode))
            return 0;
        if (renameat(root, part, root, moved) < 0)
            return -errno;
    }
    return symlinkat(moved, root, part) < 0 ? -errno : 0;
}

/* What overlayfs asks of an upper folder that is not local to the guest. */
static bool can_hold(int root)
{
    _cleanup_close_ int work = openat(root, "work", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (work < 0 || fsetxattr(work, marks[1], "n", 1, 0) < 0)
        return false;
    (void)fremovexattr(work, marks[1]);
    _cleanup_close_ int file = openat(work, "try", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    bool held = file >= 0 && renameat2(work, "try", work, "tried", RENAME_WHITEOUT) == 0;
    (void)unlinkat(work, "try", 0);
    (void)unlinkat(work, "tried", 0);
    return held;
}

int vm_upper_prepare(struct arena *arena, const char *upper, struct error *err)
{
    static const char *const parts[] = {"upper", "work"};
    const char *path = path_dir(arena, upper);
    _cleanup_close_ int root = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int r = root < 0 ? -errno : 0;

    if (r == 0 && !can_hold(root))
        return mkdirat(root, PASSING, 0700) < 0 && errno != EEXIST
                       ? error_sys(err, errno, "mark %s", path)
                       : 0;
    if (r == 0 && mkdirat(root, SHARED, 0755) < 0 && errno != EEXIST)
        r = -errno;
    if (r == 0 && fchownat(root, SHARED, NOBODYS_ID, NOBODYS_ID, AT_SYMLINK_NOFOLLOW) < 0)
        r = -errno;
    for (size_t i = 0; i < ARRAY_SIZE(parts) && r == 0; i++)
        r = move_part(arena, root, parts[i]);
    return r < 0 ? error_sys(err, -r, "prepare %s for a machine's changes", path) : 1;
}

/* ---- marks ---- */

static void settle_one(int fd)
{
    bool has[ARRAY_SIZE(marks)], any = false;
    char value;

    for (size_t i = 0; i < ARRAY_SIZE(marks); i++) {
        has[i] = fgetxattr(fd, marks[i], &value, 1) == 1 && value == 'y';
        any |= has[i];
    }
    for (size_t i = 0; any && i < ARRAY_SIZE(marks); i++)
        if (!has[i])
            (void)fsetxattr(fd, marks[i], "y", 1, 0);
}

/* Takes the descriptor over. */
static int settle_below(int fd, unsigned depth)
{
    _cleanup_closedir_ DIR *dir = fdopendir(fd);
    struct dirent *entry;
    int r = 0;

    if (!dir) {
        r = -errno;
        close(fd);
        return r;
    }
    while (r == 0 && (entry = readdir(dir))) {
        if (entry->d_type != DT_DIR || str_equal(entry->d_name, ".") ||
                str_equal(entry->d_name, ".."))
            continue;
        int below =
                openat(dirfd(dir), entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (below < 0 ||
                depth == DEPTH_MAX) { /* taken away meanwhile, or deeper than a path goes */
            cleanup_close(&below);
            continue;
        }
        settle_one(below);
        r = settle_below(below, depth + 1);
    }
    return r;
}

int vm_upper_settle(const char *upper, struct error *err)
{
    int fd = open(upper, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int r = fd < 0 ? -errno : settle_below(fd, 0);

    if (r == -ENOENT) /* never started */
        return 0;
    return r < 0 ? error_sys(err, -r, "look through %s", upper) : 0;
}
