#include "vmm/singles.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "sys/mount.h"
#include "vmm/cage.h"

/* Root's engine has opened it, through the ids that viv-vmm will have. */
static int open_file(const struct proto_shared_file *wanted, struct error *err)
{
    const struct proto_file *file = &wanted->file;
    struct mount_attr attributes = {.attr_set = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV |
                                                (wanted->read_only ? MOUNT_ATTR_RDONLY : 0)};

    if (file->fd.set)
        return (int)file->fd.value;
    _cleanup_close_ int fd =
            sys_open_tree(AT_FDCWD, file->path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
    if (fd < 0)
        return error_sys(err, -fd, "open the shared file %s", file->path);
    int r = sys_mount_setattr(fd, "", AT_EMPTY_PATH, &attributes);
    return r < 0 ? error_sys(err, -r, "mount_setattr of %s", file->path) : take_fd(&fd);
}

static int put_file(
        int folder, size_t number, const struct proto_shared_file *wanted, struct error *err)
{
    char name[24];

    snprintf(name, sizeof(name), "%zu", number);
    _cleanup_close_ int place = openat(folder, name, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0400);
    if (place < 0)
        return error_sys(err, errno, "make a place for the shared file %s", wanted->file.path);
    _cleanup_close_ int fd = open_file(wanted, err);
    if (fd < 0)
        return fd;
    int r = sys_move_mount(fd, "", folder, name, MOVE_MOUNT_F_EMPTY_PATH);
    return r < 0 ? error_sys(err, -r, "put the shared file %s in its place", wanted->file.path) : 0;
}

static int put_files(int folder, const struct proto_share *share, struct error *err)
{
    struct mount_attr attributes = {.attr_set = MOUNT_ATTR_RDONLY};
    int r = 0;

    for (size_t i = 0; r == 0 && i < share->files.count; i++)
        r = put_file(folder, i, &share->files.items[i], err);
    if (r < 0)
        return r;
    r = sys_mount_setattr(folder, "", AT_EMPTY_PATH, &attributes);
    if (r == 0) /* a copy of the whole tree: the one that is attached goes with viv-vmm's root */
        r = sys_open_tree(
                folder, "", AT_EMPTY_PATH | AT_RECURSIVE | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
    return r < 0 ? error_sys(err, -r, "make a folder of the shared files") : r;
}

/* Mounts can be put on what is attached somewhere, not on what is detached. */
static int gather(const struct proto_share *share, struct error *err)
{
    _cleanup_close_ int folder = -1;
    int r = cage_make_private(err);

    if (r == 0)
        r = cage_make_tmpfs(&folder, err);
    if (r < 0)
        return r;
    r = sys_move_mount(folder, "", AT_FDCWD, CAGE_ANY_FOLDER, MOVE_MOUNT_F_EMPTY_PATH);
    if (r < 0)
        return error_sys(err, -r, "move_mount a folder for shared files");
    int tree = put_files(folder, share, err);
    (void)sys_umount2(CAGE_ANY_FOLDER, MNT_DETACH);
    return tree;
}

/* One that has no name any more: nothing can be made in it either. */
static int empty_folder(struct error *err)
{
    char path[] = "/tmp/viv-vmm-XXXXXX";

    if (!mkdtemp(path))
        return error_sys(err, errno, "make %s", path);
    int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    int r = fd < 0 ? error_sys(err, errno, "open %s", path) : fd;
    (void)rmdir(path);
    return r;
}

int singles_gather(struct proto_machine *machine, struct error *err)
{
    for (size_t i = 0; i < machine->shares.count; i++) {
        struct proto_share *share = &machine->shares.items[i];
        if (!share->files.count)
            continue;
        int fd = machine->cage ? gather(share, err) : empty_folder(err);
        if (fd < 0)
            return fd;
        share->folder.fd = (struct opt_i64){true, fd};
        share->fixed = true;
    }
    return 0;
}
