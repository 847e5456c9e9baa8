/*
 * Mounts: the mount API of Linux 5.2 and later (fsopen, fsmount, move_mount, open_tree,
 * mount_setattr), and the older calls. Descriptors come back close-on-exec. See door.h for the
 * returns.
 */
#pragma once

#include <linux/mount.h>
#include <stdint.h>
#include <sys/types.h>

/* umount2(2); glibc keeps it in a header that cannot be included beside <linux/mount.h>. */
#define MNT_DETACH 2

int sys_fsopen(const char *fs_name, unsigned flags);
int sys_fsconfig(int fs_fd, unsigned command, const char *key, const void *value, int aux);
int sys_fsmount(int fs_fd, unsigned flags, unsigned attributes);
int sys_fspick(int dirfd, const char *path, unsigned flags);
int sys_open_tree(int dirfd, const char *path, unsigned flags);
int sys_move_mount(int from_dirfd, const char *from, int to_dirfd, const char *to, unsigned flags);
int sys_mount_setattr(int dirfd, const char *path, unsigned flags, struct mount_attr *attributes);

int sys_mount(const char *source, const char *target, const char *type, unsigned long flags,
        const char *data);
int sys_umount2(const char *target, int flags);
int sys_pivot_root(const char *new_root, const char *put_old);
int sys_chroot(const char *path);
int sys_fchdir(int fd);

/* openat2(2) with O_CLOEXEC added; `resolve` is RESOLVE_IN_ROOT … */
int sys_openat2(int dirfd, const char *path, uint64_t flags, mode_t mode, uint64_t resolve);
int sys_mkdirat(int dirfd, const char *path, mode_t mode);
int sys_mknodat(int dirfd, const char *path, mode_t mode, dev_t device);
int sys_symlinkat(const char *target, int dirfd, const char *path);
/* The SELinux context of what a descriptor, which may be one of O_PATH, stands for, and of a link
 * itself; a file that has it already is left alone. Needs /proc. Calls: getxattr, setxattr. */
int sys_set_label(int fd, const char *label);
int sys_fchownat(int dirfd, const char *path, uid_t uid, gid_t gid, int flags);
