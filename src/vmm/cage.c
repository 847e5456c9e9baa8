#include "vmm/cage.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "sys/mount.h"
#include "sys/process.h"

#define MS_REC_PRIVATE (0x4000 | 0x40000) /* MS_REC | MS_PRIVATE: see sys/mount.h */

/* ---- what stays in the root ---- */

struct kept {
    char *path; /* absolute; NULL: nothing */
    int tree;   /* a detached copy of its mount */
};

static void drop_kept(struct kept *kept)
{
    free(kept->path);
    cleanup_close(&kept->tree);
}

static int keep_folder(const struct proto_machine *machine, struct kept *ret, struct error *err)
{
    const char *socket = machine->vsock ? machine->vsock->path : NULL;
    const char *slash = socket ? strrchr(socket, '/') : NULL;

    if (!slash || slash == socket)
        return 0;
    ret->path = strndup(socket, (size_t)(slash - socket));
    if (!ret->path)
        return error_set(err, ENOMEM, "out of memory");
    ret->tree = sys_open_tree(AT_FDCWD, ret->path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
    if (ret->tree < 0)
        return error_sys(err, -ret->tree, "open_tree %s", ret->path);
    /* the sockets there belong to whoever starts the machine: so does viv-vmm, seen through its ids
     */
    struct mount_attr attributes = {
            .attr_set = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC};
    (void)sys_mount_setattr(ret->tree, "", AT_EMPTY_PATH, &attributes);
    if (machine->cage->user_namespace.set) {
        attributes.attr_set |= MOUNT_ATTR_IDMAP;
        attributes.userns_fd = (uint64_t)machine->cage->user_namespace.value;
        /* where that cannot be, the sockets have to be open to others */
        (void)sys_mount_setattr(ret->tree, "", AT_EMPTY_PATH, &attributes);
    }
    return 0;
}

/* Makes the folders of a path below the new root. */
static int make_folders(int root, char *path)
{
    for (char *slash = strchr(path + 1, '/');; slash = strchr(slash + 1, '/')) {
        if (slash)
            *slash = 0;
        if (mkdirat(root, path + 1, 0755) < 0 && errno != EEXIST)
            return -errno;
        if (!slash)
            return 0;
        *slash = '/';
    }
}

static int put_folder(int root, const struct kept *kept, struct error *err)
{
    if (!kept->path)
        return 0;
    int r = make_folders(root, kept->path);
    if (r == 0)
        r = sys_move_mount(kept->tree, "", root, kept->path + 1, MOVE_MOUNT_F_EMPTY_PATH);
    return r < 0 ? error_sys(err, -r, "keep %s in the machine's root", kept->path) : 0;
}

/* ---- the root ---- */

int cage_make_private(struct error *err)
{
    int r = sys_mount(NULL, "/", NULL, MS_REC_PRIVATE, NULL);

    return r < 0 ? error_sys(err, -r, "make mounts private") : 0;
}

int cage_make_tmpfs(int *ret, struct error *err)
{
    _cleanup_close_ int fs = sys_fsopen("tmpfs", FSOPEN_CLOEXEC);
    int r = fs;

    if (r >= 0)
        r = sys_fsconfig(fs, FSCONFIG_SET_STRING, "mode", "0755", 0);
    if (r >= 0)
        r = sys_fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0);
    if (r >= 0)
        r = sys_fsmount(
                fs, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
    if (r < 0)
        return error_sys(err, -r, "make an empty tmpfs");
    *ret = r;
    return 0;
}

static int change_root(int root, struct error *err)
{
    struct mount_attr attributes = {.attr_set = MOUNT_ATTR_RDONLY};
    int r = sys_fchdir(root);

    if (r == 0)
        r = sys_pivot_root(".", ".");
    if (r == 0)
        r = sys_umount2(".", MNT_DETACH);
    if (r == 0)
        r = chdir("/") < 0 ? -errno : 0;
    if (r == 0)
        r = sys_mount_setattr(AT_FDCWD, "/", 0, &attributes);
    return r < 0 ? error_sys(err, -r, "change to an empty root") : 0;
}

static int leave_root(const struct proto_machine *machine, struct error *err)
{
    _cleanup_(drop_kept) struct kept kept = {.tree = -1};
    _cleanup_close_ int root = -1;
    int r = cage_make_private(err);

    if (r == 0)
        r = keep_folder(machine, &kept, err);
    if (r == 0)
        r = cage_make_tmpfs(&root, err);
    if (r == 0)
        r = put_folder(root, &kept, err);
    if (r < 0)
        return r;
    r = sys_move_mount(root, "", AT_FDCWD, CAGE_ANY_FOLDER, MOVE_MOUNT_F_EMPTY_PATH);
    return r < 0 ? error_sys(err, -r, "move_mount an empty root") : change_root(root, err);
}

/* ---- the ids ---- */

/* From here on it is the first of its own ids, and whatever rights it has are good for nothing but
 * what belongs to these. */
static int take_ids(const struct proto_cage *cage, struct error *err)
{
    int fd = (int)cage->user_namespace.value;

    if (!cage->user_namespace.set)
        return 0;
    int r = sys_setns(fd, CLONE_NEWUSER);
    close(fd);
    if (r == 0)
        r = sys_setgroups(0, NULL);
    if (r == 0)
        r = sys_setresgid(0, 0, 0);
    if (r == 0)
        r = sys_setresuid(0, 0, 0);
    return r < 0 ? error_sys(err, -r, "take ids of its own") : 0;
}

int cage_enter(const struct proto_machine *machine, struct error *err)
{
    int r = 0;

    if (machine->cage) {
        r = leave_root(machine, err);
        if (r == 0)
            r = take_ids(machine->cage, err);
    }
    if (r < 0)
        return error_prefix(err, "enter viv-vmm's own sandbox");
    r = sys_prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    return r < 0 ? error_sys(err, -r, "prctl PR_SET_NO_NEW_PRIVS") : 0;
}
