#include "rootfs/enter.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/mount.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/str.h"
#include "plan/run.h"
#include "rootfs/inroot.h"
#include "rootfs/legacy.h"
#include "rootfs/mount.h"
#include "rootfs/options.h"
#include "sys/mount.h"
#include "sys/proc.h"

/* The procfs handle. */

struct proc_args {
    int slot;
};

static int proc_apply(const struct step *step, struct plan_run *run, struct error *err)
{
    const struct proc_args *args = step->args;
    int fd = sys_proc_open(err);

    if (fd < 0)
        return fd;
    run->fds[args->slot] = fd;
    return 0;
}

static void proc_describe(const struct step *step, struct step_text *text)
{
    (void)step;
    step_call(text, "fsopen(\"proc\", FSOPEN_CLOEXEC)");
    step_call(text, "fsconfig(<fs>, FSCONFIG_CMD_CREATE, NULL, NULL, 0)");
    step_call(text, "fsmount(<fs>, FSMOUNT_CLOEXEC, 0)");
    step_call(text, "fstatfs(<proc>)");
    step_call(text, "fstat(<proc>)");
    step_why(text, "a procfs that nobody else can reach, for every write to /proc that follows");
}

static const struct step_ops proc_ops = {
        "procfs handle", "proc(5)", proc_apply, NULL, proc_describe, NULL};

void rootfs_open_proc(struct plan *plan, enum step_place place, int slot)
{
    struct proc_args *args = arena_new(plan->arena, struct proc_args);

    args->slot = slot;
    plan_add(plan, place, &proc_ops, "", args);
}

int rootfs_add_proc(struct plan *plan, enum step_place place)
{
    int slot = plan_new_slot(plan);

    rootfs_open_proc(plan, place, slot);
    return slot;
}

/* The tree, and the root on top of it. */

struct tree_args {
    const char *path; /* of the root, for mount(2) and messages */
    uint64_t propagation;
    int root_slot, proc_slot;
};

static int legacy_root(const struct tree_args *args, struct plan_run *run, struct error *err)
{
    _cleanup_close_ int root = open(args->path, O_PATH | O_DIRECTORY | O_CLOEXEC);

    if (root < 0)
        return error_sys(err, errno, "open the root %s", args->path);
    int r = legacy_bind(&run->fds[args->proc_slot], root, root, true);
    if (r < 0)
        return error_sys(err, -r, "bind the root %s to itself", args->path);
    cleanup_close(&root);
    root = open(args->path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (root < 0)
        return error_sys(err, errno, "open the root %s", args->path);
    run->fds[args->root_slot] = take_fd(&root);
    return 0;
}

static int own_tree(uint64_t propagation)
{
    struct mount_attr attr = {.propagation = propagation};
    int r = sys_mount_setattr(AT_FDCWD, "/", AT_RECURSIVE, &attr);

    return legacy_wanted(r) ? sys_mount(NULL, "/", NULL, MS_REC | propagation, NULL) : r;
}

static int tree_apply(const struct step *step, struct plan_run *run, struct error *err)
{
    const struct tree_args *args = step->args;
    int r = own_tree(args->propagation);

    if (r < 0)
        return error_sys(err, -r, "take the mount tree out of the host's propagation");
    umask(0);
    if (run->fds[args->root_slot] < 0)
        return legacy_root(args, run, err);
    r = sys_move_mount(run->fds[args->root_slot], "", AT_FDCWD, "/", MOVE_MOUNT_F_EMPTY_PATH);
    return r < 0 ? error_sys(err, -r, "attach the root %s", args->path) : 0;
}

static void tree_describe(const struct step *step, struct step_text *text)
{
    const struct tree_args *args = step->args;

    step_call(text,
            "mount_setattr(AT_FDCWD, \"/\", AT_RECURSIVE, {attr_set=0, attr_clr=0, propagation=%s, "
            "userns_fd=0}, 32)",
            mount_propagation_text(args->propagation));
    step_call(text, "umask(000)");
    step_call(text, "move_mount(<root>, \"\", AT_FDCWD, \"/\", MOVE_MOUNT_F_EMPTY_PATH)");
    step_why(
            text, "mounts made from here on stay in the sandbox; its root lies on top of the tree");
}

static const struct step_ops tree_ops = {
        "own tree", "mount_namespaces(7)", tree_apply, NULL, tree_describe, NULL};

void enter_add_tree(struct plan *plan, const struct rootfs *rootfs, uint64_t propagation)
{
    struct tree_args *args = arena_new(plan->arena, struct tree_args);

    *args = (struct tree_args){rootfs->path, propagation, rootfs->root_slot, rootfs->proc_slot};
    plan_add(plan, STEP_CHILD, &tree_ops, "/root/path", args);
}

/* The root, read-only. */

static int readonly_apply(const struct step *step, struct plan_run *run, struct error *err)
{
    const struct tree_args *args = step->args;
    struct mount_attr attr = {.attr_set = MOUNT_ATTR_RDONLY};
    int root = run->fds[args->root_slot];
    int r = sys_mount_setattr(root, "", AT_EMPTY_PATH, &attr);

    if (r == -ENOSYS) {
        struct mount_options options = {.set = MOUNT_ATTR_RDONLY};
        r = legacy_setattr(&run->fds[args->proc_slot], root, &options, 0);
    }
    return r < 0 ? error_sys(err, -r, "make the root read-only") : 0;
}

static void readonly_describe(const struct step *step, struct step_text *text)
{
    (void)step;
    step_call(text, "mount_setattr(<root>, \"\", AT_EMPTY_PATH, {attr_set=MOUNT_ATTR_RDONLY, "
                    "attr_clr=0, propagation=0, userns_fd=0}, 32)");
    step_why(text, "the workload cannot change its root");
}

static const struct step_ops readonly_ops = {
        "read-only root", "mount_setattr(2)", readonly_apply, NULL, readonly_describe, NULL};

/* Entering. */

struct enter_args {
    enum rootfs_enter how;
    int root_slot;
    uint64_t propagation;
    bool recursive;
};

static const char *pivot_hint(int r)
{
    return r == -EINVAL ? "an initramfs cannot be pivoted away: --no-pivot moves the root instead"
                        : NULL;
}

static int pivot(struct error *err)
{
    int r = sys_pivot_root(".", ".");

    if (r < 0)
        return error_sys_hint(err, -r, pivot_hint(r), "enter the root by pivot_root");
    r = sys_umount2(".", MNT_DETACH);
    return r < 0 ? error_sys(err, -r, "detach the host's mount tree") : 0;
}

static int set_propagation(const struct enter_args *args, struct error *err)
{
    struct mount_attr attr = {.propagation = args->propagation};
    int r = sys_mount_setattr(AT_FDCWD, "/", args->recursive ? AT_RECURSIVE : 0, &attr);

    if (legacy_wanted(r))
        r = sys_mount(NULL, "/", NULL, args->propagation | (args->recursive ? MS_REC : 0), NULL);
    return r < 0 ? error_sys(err, -r, "set the propagation of the root") : 0;
}

static int enter_apply(const struct step *step, struct plan_run *run, struct error *err)
{
    const struct enter_args *args = step->args;
    int r = sys_fchdir(run->fds[args->root_slot]);

    if (r < 0)
        return error_sys(err, -r, "change to the root");
    if (args->how == ROOTFS_PIVOT) {
        r = pivot(err);
    } else {
        r = sys_chroot(".");
        r = r < 0 ? error_sys(err, -r, "enter the root by chroot") : 0;
    }
    if (r == 0 && args->propagation)
        r = set_propagation(args, err);
    if (r == 0 && chdir("/") < 0)
        r = error_sys(err, errno, "change to the root directory");
    umask(022);
    cleanup_close(&run->fds[args->root_slot]);
    return r;
}

static void enter_describe(const struct step *step, struct step_text *text)
{
    const struct enter_args *args = step->args;

    step_call(text, "fchdir(<root>)");
    if (args->how == ROOTFS_PIVOT) {
        step_call(text, "pivot_root(\".\", \".\")");
        step_call(text, "umount2(\".\", MNT_DETACH)");
    } else {
        step_call(text, "chroot(\".\")");
    }
    if (args->propagation)
        step_call(text,
                "mount_setattr(AT_FDCWD, \"/\", %s, {attr_set=0, attr_clr=0, propagation=%s, "
                "userns_fd=0}, 32)",
                args->recursive ? "AT_RECURSIVE" : "0", mount_propagation_text(args->propagation));
    step_call(text, "chdir(\"/\")");
    step_call(text, "umask(022)");
    step_why(text, "the host's file systems are out of reach from here on");
}

static const struct step_ops pivot_ops = {
        "pivot_root", "pivot_root(2)", enter_apply, NULL, enter_describe, NULL};
static const struct step_ops chroot_ops = {
        "chroot", "chroot(2)", enter_apply, NULL, enter_describe, NULL};

void enter_add_root(
        struct plan *plan, const struct rootfs *rootfs, uint64_t propagation, bool recursive)
{
    struct enter_args *args = arena_new(plan->arena, struct enter_args);
    struct tree_args *tree = arena_new(plan->arena, struct tree_args);

    *args = (struct enter_args){rootfs->enter, rootfs->root_slot, propagation, recursive};
    *tree = (struct tree_args){rootfs->path, 0, rootfs->root_slot, rootfs->proc_slot};
    if (rootfs->readonly && rootfs->enter != ROOTFS_STAY)
        plan_add(plan, STEP_CHILD, &readonly_ops, "/root/readonly", tree);
    plan_add(plan, STEP_CHILD, rootfs->enter == ROOTFS_PIVOT ? &pivot_ops : &chroot_ops,
            "/root/path", args);
}

/* The working directory. */

struct cwd_args {
    const char *path;
};

/* The kernel answers with a path from the root, or with "(unreachable)…" for a place outside. */
static int check_inside(const char *wanted, struct error *err)
{
    char found[PATH_MAX];

    if (syscall(SYS_getcwd, found, sizeof(found)) < 0)
        return error_sys(err, errno, "look where the working directory %s is", wanted);
    if (found[0] == '/')
        return 0;
    return error_set(err, EXDEV,
            "the working directory %s lies outside the sandbox's root; it must be a plain path "
            "inside, not one through /proc",
            wanted);
}

static int cwd_apply(const struct step *step, struct plan_run *run, struct error *err)
{
    const struct cwd_args *args = step->args;
    uint64_t flags = O_PATH | O_DIRECTORY;

    (void)run;
    _cleanup_close_ int fd = sys_openat2(AT_FDCWD, args->path, flags, 0, RESOLVE_NO_MAGICLINKS);
    if (fd == -ENOENT && io_make_dirs_at(AT_FDCWD, args->path, 0755) == 0)
        fd = sys_openat2(AT_FDCWD, args->path, flags, 0, RESOLVE_NO_MAGICLINKS);
    if (fd < 0)
        return error_sys_hint(err, -fd,
                fd == -ELOOP ? "links through /proc could lead outside the root and are refused"
                             : NULL,
                "change to the working directory %s", args->path);
    int r = sys_fchdir(fd);
    if (r < 0)
        return error_sys(err, -r, "change to the working directory %s", args->path);
    return check_inside(args->path, err);
}

static void cwd_describe(const struct step *step, struct step_text *text)
{
    const struct cwd_args *args = step->args;

    step_call(text,
            "openat2(AT_FDCWD, %s, {flags=O_PATH|O_DIRECTORY|O_CLOEXEC, "
            "resolve=RESOLVE_NO_MAGICLINKS}, 24)",
            step_quote(text->arena, args->path));
    step_call(text, "fchdir(<cwd>)");
    step_call(text, "getcwd(<path>, 4096)");
    step_why(text, "the working directory, proven to lie inside the root");
}

static const struct step_ops cwd_ops = {"fchdir", "chdir(2)", cwd_apply, NULL, cwd_describe, NULL};

void rootfs_add_cwd(struct plan *plan, const char *path, const char *because)
{
    struct cwd_args *args = arena_new(plan->arena, struct cwd_args);

    args->path = str_empty(path) ? "/" : path;
    plan_add(plan, STEP_CHILD, &cwd_ops, because, args);
}

/* A descriptor bound to a file. */

struct bind_fd {
    const char *name, *target;
    int slot, root_slot;
    const struct foresight *foresight; /* for the description */
    size_t when;
};

static int bind_fd_apply(const struct step *step, struct plan_run *run, struct error *err)
{
    const struct bind_fd *bind = step->args;
    _cleanup_close_ int tree =
            sys_open_tree(run->fds[bind->slot], "", OPEN_TREE_CLONE | AT_EMPTY_PATH);

    if (tree < 0)
        return error_sys(err, -tree, "bind %s on %s", bind->name, bind->target);
    _cleanup_close_ int target = inroot_open(
            run->fds[bind->root_slot], bind->target, INROOT_FILE, INROOT_NO_SYMLINKS, err);
    if (target < 0)
        return error_prefix(err, "bind %s on %s", bind->name, bind->target);
    return mount_attach(tree, target, bind->target, err);
}

static void bind_fd_describe(const struct step *step, struct step_text *text)
{
    const struct bind_fd *bind = step->args;

    step_call(text, "open_tree(<%s>, \"\", OPEN_TREE_CLONE|OPEN_TREE_CLOEXEC|AT_EMPTY_PATH)",
            bind->name);
    inroot_make_calls(text, bind->target, INROOT_FILE, INROOT_NO_SYMLINKS,
            foresight_missing(bind->foresight, bind->when, bind->target, NULL));
    mount_attach_call(text);
    step_why(text, "%s is %s inside, bound by descriptor and never by a path", bind->target,
            bind->name);
}

static const struct step_ops bind_fd_ops = {
        "bind", "move_mount(2)", bind_fd_apply, NULL, bind_fd_describe, NULL};

void rootfs_add_bind_fd(struct plan *plan, const struct rootfs *rootfs, int slot, const char *name,
        const char *target, const char *because)
{
    struct bind_fd *bind = arena_new(plan->arena, struct bind_fd);

    *bind = (struct bind_fd){name, target, slot, rootfs->root_slot, rootfs->foresight,
            foresight_now(rootfs->foresight)};
    plan_add(plan, STEP_CHILD, &bind_fd_ops, because, bind);
}
