#include "rootfs/nodes.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/path.h"
#include "base/str.h"
#include "plan/run.h"
#include "rootfs/inroot.h"
#include "rootfs/mount.h"
#include "sys/mount.h"

static const struct rootfs_device defaults[] = {
        {"/dev/null", 'c', 1, 3, 0666, 0, 0, ""},
        {"/dev/zero", 'c', 1, 5, 0666, 0, 0, ""},
        {"/dev/full", 'c', 1, 7, 0666, 0, 0, ""},
        {"/dev/random", 'c', 1, 8, 0666, 0, 0, ""},
        {"/dev/urandom", 'c', 1, 9, 0666, 0, 0, ""},
        {"/dev/tty", 'c', 5, 0, 0666, 0, 0, ""},
};

const struct rootfs_device *rootfs_default_devices(size_t *ret_count)
{
    *ret_count = ARRAY_SIZE(defaults);
    return defaults;
}

struct node {
    struct rootfs_device device;
    bool bind; /* from the host's node of that path */
    int root_slot, dev_slot;
    const struct foresight *foresight; /* for descriptions */
    size_t when;
};

static mode_t node_type(const struct rootfs_device *device)
{
    return device->type == 'b' ? S_IFBLK : device->type == 'p' ? S_IFIFO : S_IFCHR;
}

static const char *type_name(char type)
{
    return type == 'b' ? "block device" : type == 'p' ? "named pipe" : "character device";
}

static bool is_node(const struct stat *st, const struct rootfs_device *device)
{
    if ((st->st_mode & S_IFMT) != node_type(device))
        return false;
    return device->type == 'p' || st->st_rdev == makedev(device->major, device->minor);
}

/* The directory and the name: most are right in /dev, which is held open. */
static int open_place(const struct node *node, struct plan_run *run, const char **ret_name,
        int *opened, struct error *err)
{
    const char *name = str_after(node->device.path, "/dev/");

    if (name && *name && !strchr(name, '/') && run->fds[node->dev_slot] >= 0) {
        *ret_name = name;
        return run->fds[node->dev_slot];
    }
    *opened = inroot_open_parent(run->fds[node->root_slot], node->device.path, ret_name, err);
    return *opened;
}

static int node_fail(const struct node *node, int r, struct error *err)
{
    return error_sys_hint(err, -r,
            r == -EPERM
                    ? "making device nodes needs CAP_MKNOD on the host; in a user namespace the "
                      "host's node is bound instead"
                    : NULL,
            "make the %s %s (%u:%u)", type_name(node->device.type), node->device.path,
            node->device.major, node->device.minor);
}

/* Something lies there already: it must be the very node. */
static int check_existing(const struct node *node, int dir, const char *name, struct error *err)
{
    struct stat st;

    if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return node_fail(node, -errno, err);
    if (is_node(&st, &node->device))
        return 0;
    return error_set(err, EEXIST,
            "make the %s %s (%u:%u): the root has something else there; remove it from the image, "
            "or mount a tmpfs on /dev",
            type_name(node->device.type), node->device.path, node->device.major,
            node->device.minor);
}

static int make_node(const struct node *node, int dir, const char *name, struct error *err)
{
    const struct rootfs_device *device = &node->device;
    mode_t mode = node_type(device) | (mode_t)(device->mode & 07777);
    int r = sys_mknodat(dir, name, mode, makedev(device->major, device->minor));

    if (r == -EEXIST)
        return check_existing(node, dir, name, err);
    if (r == 0 && (device->uid || device->gid))
        r = sys_fchownat(dir, name, device->uid, device->gid, AT_SYMLINK_NOFOLLOW);
    return r < 0 ? node_fail(node, r, err) : 0;
}

/* The host's node as a detached mount, once it has proven to be the device that is meant. */
static int open_host_node(const struct node *node, struct error *err)
{
    struct stat st;
    _cleanup_close_ int tree =
            sys_open_tree(AT_FDCWD, node->device.path, OPEN_TREE_CLONE | AT_SYMLINK_NOFOLLOW);

    if (tree < 0)
        return error_sys_hint(err, -tree, tree == -ENOENT ? "the host has no such device" : NULL,
                "bind the host's %s", node->device.path);
    if (fstat(tree, &st) < 0)
        return error_sys(err, errno, "look at the host's %s", node->device.path);
    if (!is_node(&st, &node->device))
        return error_set(err, ENODEV, "bind the host's %s: that is not the %s %u:%u",
                node->device.path, type_name(node->device.type), node->device.major,
                node->device.minor);
    return take_fd(&tree);
}

static int bind_node(const struct node *node, int dir, const char *name, struct error *err)
{
    _cleanup_close_ int tree = open_host_node(node, err);
    if (tree < 0)
        return tree;
    int r = sys_mknodat(dir, name, S_IFREG | 0644, 0);
    if (r < 0 && r != -EEXIST)
        return node_fail(node, r, err);
    _cleanup_close_ int target = sys_openat2(dir, name, O_PATH | O_NOFOLLOW, 0, RESOLVE_BENEATH);
    if (target < 0)
        return node_fail(node, target, err);
    return mount_attach(tree, target, node->device.path, err);
}

static int node_apply(const struct step *step, struct plan_run *run, struct error *err)
{
    const struct node *node = step->args;
    _cleanup_close_ int opened = -1;
    const char *name;
    int dir = open_place(node, run, &name, &opened, err);

    if (dir < 0)
        return error_prefix(err, "make the device %s", node->device.path);
    return node->bind ? bind_node(node, dir, name, err) : make_node(node, dir, name, err);
}

/* The calls that make a node, or bind the host's over an empty file. */
static void describe_node(
        const struct node *node, const char *dir, const char *name, struct step_text *text)
{
    const struct rootfs_device *device = &node->device;

    if (!node->bind) {
        step_call(text, "mknodat(%s, %s, %s|0%o, makedev(%#x, %#x))", dir, name,
                device->type == 'b'   ? "S_IFBLK"
                : device->type == 'p' ? "S_IFIFO"
                                      : "S_IFCHR",
                device->mode & 07777, device->major, device->minor);
        if (device->uid || device->gid)
            step_call(text, "fchownat(%s, %s, %u, %u, AT_SYMLINK_NOFOLLOW)", dir, name, device->uid,
                    device->gid);
        return;
    }
    step_call(text,
            "open_tree(AT_FDCWD, %s, AT_SYMLINK_NOFOLLOW|OPEN_TREE_CLONE|OPEN_TREE_CLOEXEC)",
            step_quote(text->arena, device->path));
    step_call(text, "fstat(<mount>)");
    step_call(text, "mknodat(%s, %s, S_IFREG|0644)", dir, name);
    step_call(text,
            "openat2(%s, %s, {flags=O_PATH|O_NOFOLLOW|O_CLOEXEC, resolve=RESOLVE_BENEATH}, 24)",
            dir, name);
    mount_attach_call(text);
}

static void describe_parent(const struct node *node, struct step_text *text)
{
    const char *dir = path_dir(text->arena, node->device.path);

    inroot_make_calls(text, dir, INROOT_DIRECTORY, INROOT_FOLLOW,
            foresight_missing(node->foresight, node->when, dir, NULL));
}

static void node_describe(const struct step *step, struct step_text *text)
{
    const struct node *node = step->args;
    const char *path = node->device.path;
    const char *name = str_after(path, "/dev/");
    bool in_dev = name && *name && !strchr(name, '/');

    if (!in_dev)
        describe_parent(node, text);
    describe_node(node, in_dev ? "<dev>" : "<dir>",
            step_quote(text->arena, in_dev ? name : path_base(path)), text);
    if (node->bind)
        step_why(text, "the host's %s, a %s: one made in a user namespace could not be opened",
                path, type_name(node->device.type));
    else
        step_why(text, "%s, a %s", path, type_name(node->device.type));
}

static const struct step_ops node_ops = {
        "device", "mknod(2)", node_apply, NULL, node_describe, NULL};

/* /dev itself, held for what follows. */

struct dev_dir {
    int root_slot, dev_slot;
    const struct foresight *foresight; /* for descriptions */
    size_t when;
    bool no_kcore;
};

static int dev_apply(const struct step *step, struct plan_run *run, struct error *err)
{
    const struct dev_dir *dev = step->args;
    int fd = inroot_open(
            run->fds[dev->root_slot], "/dev", INROOT_DIRECTORY, INROOT_NO_SYMLINKS, err);

    if (fd >= 0)
        run->fds[dev->dev_slot] = fd;
    return fd < 0 ? fd : 0;
}

static void dev_describe(const struct step *step, struct step_text *text)
{
    const struct dev_dir *dev = step->args;

    inroot_make_calls(text, "/dev", INROOT_DIRECTORY, INROOT_NO_SYMLINKS,
            foresight_missing(dev->foresight, dev->when, "/dev", NULL));
    step_why(text, "/dev is held open, so that all devices are made in one and the same directory");
}

static const struct step_ops dev_ops = {
        "open /dev", "openat2(2)", dev_apply, NULL, dev_describe, NULL};

/* The links. */

static const struct {
    const char *name;
    const char *target;
} links[] = {
        {"fd", "/proc/self/fd"},
        {"stdin", "/proc/self/fd/0"},
        {"stdout", "/proc/self/fd/1"},
        {"stderr", "/proc/self/fd/2"},
        {"core", "/proc/kcore"},
        {"ptmx", "pts/ptmx"},
};

/* A kernel may be built without it; runc looks too. Which kernel it will be is not asked here: a
 * machine's plan is described on a host that has another. */
static bool has_target(const struct dev_dir *dev, const char *target)
{
    return !dev->no_kcore || !str_equal(target, "/proc/kcore");
}

/* An image's own ptmx (a node of the host's devpts) must not stay; other names are its business. */
static int make_link(int dir, const char *name, const char *target)
{
    int r = sys_symlinkat(target, dir, name);

    if (r != -EEXIST || !str_equal(name, "ptmx"))
        return r == -EEXIST ? 0 : r;
    if (unlinkat(dir, name, 0) < 0)
        return -errno;
    return sys_symlinkat(target, dir, name);
}

static int links_apply(const struct step *step, struct plan_run *run, struct error *err)
{
    const struct dev_dir *dev = step->args;

    for (size_t i = 0; i < ARRAY_SIZE(links); i++) {
        int r = has_target(dev, links[i].target)
                        ? make_link(run->fds[dev->dev_slot], links[i].name, links[i].target)
                        : 0;
        if (r < 0)
            return error_sys(err, -r, "make the link /dev/%s", links[i].name);
    }
    return 0;
}

static void links_describe(const struct step *step, struct step_text *text)
{
    const struct dev_dir *dev = step->args;

    for (size_t i = 0; i < ARRAY_SIZE(links); i++)
        if (has_target(dev, links[i].target))
            step_call(text, "symlinkat(\"%s\", <dev>, \"%s\")", links[i].target, links[i].name);
    step_why(text, "the names under which programs expect their own descriptors and terminals");
}

static const struct step_ops links_ops = {
        "links", "symlink(2)", links_apply, NULL, links_describe, NULL};

static void add_node(
        struct plan *plan, const struct rootfs *rootfs, const struct rootfs_device *device)
{
    struct node *node = arena_new(plan->arena, struct node);

    *node = (struct node){.device = *device,
            .bind = rootfs->userns && device->type != 'p',
            .root_slot = rootfs->root_slot,
            .dev_slot = rootfs->dev_slot,
            .foresight = rootfs->foresight,
            .when = foresight_now(rootfs->foresight)};
    plan_add(plan, STEP_CHILD, &node_ops, device->because ? device->because : "", node);
}

/* Whether the configuration names a default device itself, and so its owner and mode. */
static bool is_configured(const struct rootfs *rootfs, const char *path)
{
    for (size_t i = 0; i < rootfs->devices_count; i++)
        if (str_equal(rootfs->devices[i].path, path))
            return true;
    return false;
}

void nodes_add(struct plan *plan, struct rootfs *rootfs)
{
    struct dev_dir *dev = arena_new(plan->arena, struct dev_dir);

    rootfs->dev_slot = plan_new_slot(plan);
    *dev = (struct dev_dir){rootfs->root_slot, rootfs->dev_slot, rootfs->foresight,
            foresight_now(rootfs->foresight), rootfs->no_kcore};
    if (!rootfs->no_devices) {
        plan_add(plan, STEP_CHILD, &dev_ops, "", dev);
        for (size_t i = 0; i < ARRAY_SIZE(defaults); i++)
            if (!is_configured(rootfs, defaults[i].path))
                add_node(plan, rootfs, &defaults[i]);
    }
    for (size_t i = 0; i < rootfs->devices_count; i++)
        add_node(plan, rootfs, &rootfs->devices[i]);
    if (!rootfs->no_devices)
        plan_add(plan, STEP_CHILD, &links_ops, "", dev);
}
