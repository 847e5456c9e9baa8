#include "sys/mount.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "sys/door.h"

int sys_fsopen(const char *fs_name, unsigned flags)
{
    return (int)SYS_CALL("fsopen", syscall(SYS_fsopen, fs_name, flags | FSOPEN_CLOEXEC));
}

int sys_fsconfig(int fs_fd, unsigned command, const char *key, const void *value, int aux)
{
    return (int)SYS_CALL("fsconfig", syscall(SYS_fsconfig, fs_fd, command, key, value, aux));
}

int sys_fsmount(int fs_fd, unsigned flags, unsigned attributes)
{
    return (int)SYS_CALL(
            "fsmount", syscall(SYS_fsmount, fs_fd, flags | FSMOUNT_CLOEXEC, attributes));
}

int sys_fspick(int dirfd, const char *path, unsigned flags)
{
    return (int)SYS_CALL("fspick", syscall(SYS_fspick, dirfd, path, flags | FSPICK_CLOEXEC));
}

int sys_open_tree(int dirfd, const char *path, unsigned flags)
{
    return (int)SYS_CALL(
            "open_tree", syscall(SYS_open_tree, dirfd, path, flags | OPEN_TREE_CLOEXEC));
}

int sys_move_mount(int from_dirfd, const char *from, int to_dirfd, const char *to, unsigned flags)
{
    return (int)SYS_CALL(
            "move_mount", syscall(SYS_move_mount, from_dirfd, from, to_dirfd, to, flags));
}

int sys_mount_setattr(int dirfd, const char *path, unsigned flags, struct mount_attr *attributes)
{
    return (int)SYS_CALL("mount_setattr",
            syscall(SYS_mount_setattr, dirfd, path, flags, attributes, sizeof(*attributes)));
}

int sys_mount(const char *source, const char *target, const char *type, unsigned long flags,
        const char *data)
{
    return (int)SYS_CALL("mount", syscall(SYS_mount, source, target, type, flags, data));
}

int sys_umount2(const char *target, int flags)
{
    return (int)SYS_CALL("umount2", syscall(SYS_umount2, target, flags));
}

int sys_pivot_root(const char *new_root, const char *put_old)
{
    return (int)SYS_CALL("pivot_root", syscall(SYS_pivot_root, new_root, put_old));
}

int sys_chroot(const char *path)
{
    return (int)SYS_CALL("chroot", chroot(path));
}

int sys_fchdir(int fd)
{
    return (int)SYS_CALL("fchdir", fchdir(fd));
}

int sys_openat2(int dirfd, const char *path, uint64_t flags, mode_t mode, uint64_t resolve)
{
    struct open_how how = {.flags = flags | O_CLOEXEC, .mode = mode, .resolve = resolve};

    /* EAGAIN: a rename or mount elsewhere raced with the walk; openat2(2) says to try again */
    for (int tries = 0; tries < 128; tries++) {
        long r = SYS_CALL("openat2", syscall(SYS_openat2, dirfd, path, &how, sizeof(how)));
        if (r != -EAGAIN)
            return (int)r;
    }
    return -EAGAIN;
}

int sys_mkdirat(int dirfd, const char *path, mode_t mode)
{
    return (int)SYS_CALL("mkdirat", mkdirat(dirfd, path, mode));
}

int sys_mknodat(int dirfd, const char *path, mode_t mode, dev_t device)
{
    return (int)SYS_CALL("mknodat", mknodat(dirfd, path, mode, device));
}

int sys_symlinkat(const char *target, int dirfd, const char *path)
{
    return (int)SYS_CALL("symlinkat", symlinkat(target, dirfd, path));
}

int sys_fchownat(int dirfd, const char *path, uid_t uid, gid_t gid, int flags)
{
    return (int)SYS_CALL("fchownat", fchownat(dirfd, path, uid, gid, flags));
}

#define LABEL "security.selinux"

int sys_set_label(int fd, const char *label)
{
    char path[64], now[256];
    size_t size = strlen(label) + 1; /* the kernel's own have the 0 too */

    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    ssize_t length = getxattr(path, LABEL, now, sizeof(now));
    if (length == (ssize_t)size && memcmp(now, label, size) == 0)
        return 0;
    return (int)SYS_CALL("setxattr", setxattr(path, LABEL, label, size, 0));
}
