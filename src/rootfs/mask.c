#include "rootfs/mask.h"

#include <fcntl.h>
#include <linux/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/cleanup.h"
#include "base/path.h"
#include "base/str.h"
#include "plan/run.h"
#include "rootfs/inroot.h"
#include "rootfs/mount.h"
#include "sys/mount.h"

#define EMPTY_ATTRIBUTES                                                                           \
    (MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC)
#define EMPTY_ATTRIBUTES_TEXT                                                                      \
    "MOUNT_ATTR_RDONLY|MOUNT_ATTR_NOSUID|MOUNT_ATTR_NODEV|MOUNT_ATTR_NOEXEC"

/* What covers: a file and a directory, both without content. */

struct covers {
    int null_slot, empty_slot;
    bool placed; /* as steps are applied: the empty directory is attached somewhere */
};

static int open_null(struct error *err)
{
    struct stat st;
    _cleanup_close_ int fd =
            sys_openat2(AT_FDCWD, "/dev/null", O_PATH | O_NOFOLLOW, 0, RESOLVE_NO_SYMLINKS);

    if (fd < 0)
        return error_sys(err, -fd, "open /dev/null, which covers masked files");
    if (fstat(fd, &st) < 0)
        return error_sys(err, errno, "look at /dev/null");
    if (!S_ISCHR(st.st_mode) || st.st_rdev != makedev(1, 3))
        return error_set(err, ENODEV,
                "/dev/null is not the character device 1:3, so it cannot cover masked files; "
                "repair it: rm /dev/null; mknod -m 666 /dev/null c 1 3");
    return take_fd(&fd);
}

static int make_empty(struct error *err)
{
    _cleanup_close_ int fs_fd = sys_fsopen("tmpfs", 0);

    if (fs_fd < 0)
        return error_sys(err, -fs_fd, "make an empty tmpfs for masked directories");
    int r = sys_fsconfig(fs_fd, FSCONFIG_SET_STRING, "nr_inodes", "2", 0);
    if (r == 0)
        r = sys_fsconfig(fs_fd, FSCONFIG_CMD_CREATE, NULL, NULL, 0);
    if (r == 0)
        r = sys_fsmount(fs_fd, 0, EMPTY_ATTRIBUTES);
    return r < 0 ? error_sys(err, -r, "make an empty tmpfs for masked directories") : r;
}

static int covers_apply(const struct step *step, struct plan_run *run, struct error *err)
{
    const struct covers *covers = step->args;
    int r = open_null(err);

    if (r < 0)
        return r;
    run->fds[covers->null_slot] = r;
    r = make_empty(err);
    if (r < 0)
        return r;
    run->fds[covers->empty_slot] = r;
    return 0;
}

static void covers_describe(const struct step *step, struct step_text *text)
{
    (void)step;
    step_call(text, "openat2(AT_FDCWD, \"/dev/null\", {flags=O_PATH|O_NOFOLLOW|O_CLOEXEC, "
                    "resolve=RESOLVE_NO_SYMLINKS}, 24)");
    step_call(text, "fstat(<null>)");
    step_call(text, "fsopen(\"tmpfs\", FSOPEN_CLOEXEC)");
    step_call(text, "fsconfig(<fs>, FSCONFIG_SET_STRING, \"nr_inodes\", \"2\", 0)");
    step_call(text, "fsconfig(<fs>, FSCONFIG_CMD_CREATE, NULL, NULL, 0)");
    step_call(text, "fsmount(<fs>, FSMOUNT_CLOEXEC, " EMPTY_ATTRIBUTES_TEXT ")");
    step_why(text, "an empty file and an empty directory, to lay over what is masked");
}

static const struct step_ops covers_ops = {
        "covers", "fsopen(2)", covers_apply, NULL, covers_describe, NULL};

/* One path. */

struct covered {
    const char *path;
    const struct covered *before;      /* the path that is masked before this */
    const struct foresight *foresight; /* for descriptions */
    size_t when;
    int root_slot;
    struct covers *covers;
};

/* Lays a copy of what a descriptor stands for over the target. */
static int cover(int what, int target, const char *path, struct error *err)
{
    _cleanup_close_ int tree = sys_open_tree(what, "", OPEN_TREE_CLONE | AT_EMPTY_PATH);

    if (tree < 0)
        return error_sys(err, -tree, "mask %s", path);
    return mount_attach(tree, target, path, err);
}

/*
 * The first directory takes the empty one itself, the others clone it from there: a mount that is
 * attached nowhere is dissolved when its descriptor is closed, which waits for an RCU grace period
 * (and before Linux 6.15 it cannot be cloned).
 */
static int cover_directory(struct covers *covers, const struct plan_run *run, int target,
        const char *path, struct error *err)
{
    int empty = run->fds[covers->empty_slot];

    if (covers->placed)
        return cover(empty, target, path, err);
    int r = mount_attach(empty, target, path, err);
    covers->placed = r == 0;
    return r;
}

static int mask_apply(const struct step *step, struct plan_run *run, struct error *err)
{
    const struct covered *covered = step->args;
    struct stat st;
    _cleanup_close_ int target = inroot_open(
            run->fds[covered->root_slot], covered->path, INROOT_MUST_EXIST, INROOT_FOLLOW, err);

    if (target == -ENOENT || target == -ENOTDIR)
        return 0; /* what is not there needs no mask */
    if (target < 0)
        return error_prefix(err, "mask %s", covered->path);
    if (fstat(target, &st) < 0)
        return error_sys(err, errno, "mask %s", covered->path);
    if (S_ISDIR(st.st_mode))
        return cover_directory(covered->covers, run, target, covered->path, err);
    return cover(run->fds[covered->covers->null_slot], target, covered->path, err);
}

/* What the path will be; false: nothing is there. */
static bool foresee(const struct covered *covered, struct stat *st)
{
    return foresight_missing(covered->foresight, covered->when, covered->path, st) == 0;
}

/* Whether the empty directory will be attached somewhere before this path is masked. */
static bool foresee_placed(const struct covered *covered)
{
    struct stat st;

    for (covered = covered->before; covered; covered = covered->before)
        if (foresee(covered, &st) && S_ISDIR(st.st_mode))
            return true;
    return false;
}

static void mask_describe(const struct step *step, struct step_text *text)
{
    const struct covered *covered = step->args;
    struct stat st;

    inroot_call(text, covered->path, INROOT_FOLLOW);
    if (foresee(covered, &st)) {
        step_call(text, "fstat(<target>)");
        if (!S_ISDIR(st.st_mode) || foresee_placed(covered))
            step_call(text,
                    "open_tree(<%s>, \"\", OPEN_TREE_CLONE|OPEN_TREE_CLOEXEC|AT_EMPTY_PATH)",
                    S_ISDIR(st.st_mode) ? "empty" : "null");
        mount_attach_call(text);
    }
    step_why(text, "%s tells of the host or steers it, so it is covered", covered->path);
}

static const struct step_ops mask_ops = {
        "mask", "open_tree(2)", mask_apply, NULL, mask_describe, NULL};

static int readonly_apply(const struct step *step, struct plan_run *run, struct error *err)
{
    const struct covered *covered = step->args;
    struct mount_attr attr = {.attr_set = MOUNT_ATTR_RDONLY};
    _cleanup_close_ int target = inroot_open(
            run->fds[covered->root_slot], covered->path, INROOT_MUST_EXIST, INROOT_FOLLOW, err);

    if (target == -ENOENT || target == -ENOTDIR)
        return 0;
    if (target < 0)
        return error_prefix(err, "make %s read-only", covered->path);
    _cleanup_close_ int tree =
            sys_open_tree(target, "", OPEN_TREE_CLONE | AT_EMPTY_PATH | AT_RECURSIVE);
    if (tree < 0)
        return error_sys(err, -tree, "make %s read-only", covered->path);
    int r = sys_mount_setattr(tree, "", AT_EMPTY_PATH, &attr);
    if (r < 0)
        return error_sys(err, -r, "make %s read-only", covered->path);
    return mount_attach(tree, target, covered->path, err);
}

static void readonly_describe(const struct step *step, struct step_text *text)
{
    const struct covered *covered = step->args;
    struct stat st;

    inroot_call(text, covered->path, INROOT_FOLLOW);
    if (foresee(covered, &st)) {
        step_call(text, "open_tree(<target>, \"\", "
                        "OPEN_TREE_CLONE|OPEN_TREE_CLOEXEC|AT_EMPTY_PATH|AT_RECURSIVE)");
        step_call(text, "mount_setattr(<mount>, \"\", AT_EMPTY_PATH, {attr_set=MOUNT_ATTR_RDONLY, "
                        "attr_clr=0, propagation=0, userns_fd=0}, 32)");
        mount_attach_call(text);
    }
    step_why(text, "%s steers the host's kernel, so it can be read only", covered->path);
}

static const struct step_ops readonly_ops = {
        "read-only", "mount_setattr(2)", readonly_apply, NULL, readonly_describe, NULL};

static struct covered *new_covered(
        const struct plan *plan, const struct rootfs *rootfs, const char *path)
{
    struct covered *covered = arena_new(plan->arena, struct covered);

    *covered = (struct covered){.path = path,
            .foresight = rootfs->foresight,
            .when = foresight_now(rootfs->foresight),
            .root_slot = rootfs->root_slot};
    return covered;
}

/* The JSON pointer of one path of a list. */
static const char *because_of(struct plan *plan, const char *list, size_t index)
{
    return str_empty(list) ? "" : plan_pointer(plan, "%s/%zu", list, index);
}

static void add_masks(struct plan *plan, const struct rootfs *rootfs)
{
    const char *because = rootfs->masked_because;
    struct covers *covers = arena_new(plan->arena, struct covers);
    const struct covered *before = NULL;

    *covers = (struct covers){plan_new_slot(plan), plan_new_slot(plan), false};
    plan_add(plan, STEP_CHILD, &covers_ops, because ? because : "", covers);
    for (size_t i = 0; i < rootfs->masked.count; i++) {
        struct covered *covered = new_covered(plan, rootfs, rootfs->masked.words[i]);
        covered->covers = covers;
        covered->before = before;
        plan_add(plan, STEP_CHILD, &mask_ops, because_of(plan, because, i), covered);
        before = covered;
    }
}

void mask_add(struct plan *plan, const struct rootfs *rootfs)
{
    if (rootfs->masked.count)
        add_masks(plan, rootfs);
    for (size_t i = 0; i < rootfs->readonly_paths.count; i++)
        plan_add(plan, STEP_CHILD, &readonly_ops, because_of(plan, rootfs->readonly_because, i),
                new_covered(plan, rootfs, rootfs->readonly_paths.words[i]));
}
