/* Attributes, ordinary and extended, and the file system's figures. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "vm/share/ops.h"

#ifndef SYS_fchmodat2
#define SYS_fchmodat2 452 /* Linux 6.6 */
#endif

static struct handle *handle_of(
        struct share *share, const struct inode *inode, const struct fuse_file_info *fi)
{
    return fi ? handles_get(&share->handles, inode, fi->fh) : NULL;
}

static void reply_attr(fuse_req_t req, int fd)
{
    struct stat st;

    if (fstat(fd, &st) < 0)
        fuse_reply_err(req, errno);
    else
        fuse_reply_attr(req, &st, share_timeout(share_of(req)));
}

void share_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    int fd;

    (void)fi;
    if (share_inode(req, ino, &fd))
        reply_attr(req, fd);
}

/* A descriptor that can be changed through; the handle's, or one that is opened for this. */
static int open_for(struct share *share, struct inode *inode, const struct fuse_file_info *fi,
        int flags, int *ret_opened)
{
    struct handle *handle = handle_of(share, inode, fi);

    if (handle)
        return handle->fd;
    int fd = share_open(share, inode, flags);
    *ret_opened = fd < 0 ? -1 : fd;
    return fd;
}

/* Linux before 6.6 changes the mode of what is open alone. */
static int change_mode(struct share *share, struct inode *inode, int path_fd,
        const struct fuse_file_info *fi, mode_t mode)
{
    _cleanup_close_ int opened = -1;

    if (syscall(SYS_fchmodat2, path_fd, "", mode & 07777, AT_EMPTY_PATH) == 0)
        return 0;
    if (errno != ENOSYS && errno != EINVAL)
        return -errno;
    int fd = open_for(share, inode, fi, O_RDONLY, &opened);
    if (fd < 0)
        return fd;
    return fchmod(fd, mode & 07777) < 0 ? -errno : 0;
}

static int change_owner(int path_fd, const struct stat *attr, int what)
{
    uid_t uid = what & FUSE_SET_ATTR_UID ? attr->st_uid : (uid_t)-1;
    gid_t gid = what & FUSE_SET_ATTR_GID ? attr->st_gid : (gid_t)-1;

    return fchownat(path_fd, "", uid, gid, AT_EMPTY_PATH) < 0 ? -errno : 0;
}

static int change_size(
        struct share *share, struct inode *inode, const struct fuse_file_info *fi, off_t size)
{
    _cleanup_close_ int opened = -1;
    int fd = open_for(share, inode, fi, O_WRONLY, &opened);

    if (fd < 0)
        return fd;
    return ftruncate(fd, size) < 0 ? -errno : 0;
}

static int change_times(int path_fd, const struct stat *attr, int what)
{
    struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_nsec = UTIME_OMIT}};

    if (what & FUSE_SET_ATTR_ATIME_NOW)
        times[0].tv_nsec = UTIME_NOW;
    else if (what & FUSE_SET_ATTR_ATIME)
        times[0] = attr->st_atim;
    if (what & FUSE_SET_ATTR_MTIME_NOW)
        times[1].tv_nsec = UTIME_NOW;
    else if (what & FUSE_SET_ATTR_MTIME)
        times[1] = attr->st_mtim;
    return utimensat(path_fd, "", times, AT_EMPTY_PATH) < 0 ? -errno : 0;
}

void share_setattr(
        fuse_req_t req, fuse_ino_t ino, struct stat *attr, int what, struct fuse_file_info *fi)
{
    struct share *share = share_of(req);
    int fd, r = 0;
    struct inode *inode = share_inode(req, ino, &fd);

    if (!inode)
        return;
    if (share->fixed && ino == INODES_ROOT) {
        fuse_reply_err(req, EPERM);
        return;
    }
    if (what & (FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID))
        r = change_owner(fd, attr, what);
    if (r == 0 && what & FUSE_SET_ATTR_MODE)
        r = change_mode(share, inode, fd, fi, attr->st_mode);
    if (r == 0 && what & FUSE_SET_ATTR_SIZE)
        r = change_size(share, inode, fi, attr->st_size);
    if (r == 0 && what & (FUSE_SET_ATTR_ATIME | FUSE_SET_ATTR_MTIME | FUSE_SET_ATTR_ATIME_NOW |
                                 FUSE_SET_ATTR_MTIME_NOW))
        r = change_times(fd, attr, what);
    if (r < 0)
        fuse_reply_err(req, -r);
    else
        reply_attr(req, fd);
}

void share_statfs(fuse_req_t req, fuse_ino_t ino)
{
    struct statvfs figures;
    int fd;

    if (!share_inode(req, ino, &fd))
        return;
    if (fstatvfs(fd, &figures) < 0)
        fuse_reply_err(req, errno);
    else
        fuse_reply_statfs(req, &figures);
}

/* ---- extended attributes ---- */

/* Only what is opened has them here; others (links, sockets, FIFOs) can have none of the user's. */
static int open_for_xattr(fuse_req_t req, fuse_ino_t ino)
{
    struct share *share = share_of(req);
    int fd;
    struct inode *inode = share_inode(req, ino, &fd);

    if (!inode)
        return -1;
    if (!S_ISREG(inode->type) && !S_ISDIR(inode->type)) {
        fuse_reply_err(req, EOPNOTSUPP);
        return -1;
    }
    int opened = share_open(share, inode, O_RDONLY);
    if (opened < 0)
        fuse_reply_err(req, -opened);
    return opened;
}

void share_setxattr(
        fuse_req_t req, fuse_ino_t ino, const char *name, const char *value, size_t size, int flags)
{
    if (size > XATTR_SIZE_MAX || !share_came(share_of(req), value, size)) {
        fuse_reply_err(req, E2BIG);
        return;
    }
    _cleanup_close_ int fd = open_for_xattr(req, ino);
    if (fd >= 0)
        fuse_reply_err(req, fsetxattr(fd, name, value, size, flags) < 0 ? errno : 0);
}

/* Both kinds of question: how long it is (size 0), and what it is. */
static void reply_xattr(fuse_req_t req, ssize_t n, const char *data, size_t size)
{
    if (n < 0)
        fuse_reply_err(req, errno);
    else if (size == 0)
        fuse_reply_xattr(req, (size_t)n);
    else
        fuse_reply_buf(req, data, (size_t)n);
}

void share_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
    _cleanup_close_ int fd = open_for_xattr(req, ino);

    if (fd < 0)
        return;
    size_t room = size < XATTR_SIZE_MAX ? size : XATTR_SIZE_MAX;
    _cleanup_free_ char *data = malloc(room + 1);
    if (!data) {
        fuse_reply_err(req, ENOMEM);
        return;
    }
    reply_xattr(req, fgetxattr(fd, name, data, room), data, size);
}

void share_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size)
{
    _cleanup_close_ int fd = open_for_xattr(req, ino);

    if (fd < 0)
        return;
    size_t room = size < XATTR_LIST_MAX ? size : XATTR_LIST_MAX;
    _cleanup_free_ char *data = malloc(room + 1);
    if (!data) {
        fuse_reply_err(req, ENOMEM);
        return;
    }
    reply_xattr(req, flistxattr(fd, data, room), data, size);
}

void share_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name)
{
    _cleanup_close_ int fd = open_for_xattr(req, ino);

    if (fd >= 0)
        fuse_reply_err(req, fremovexattr(fd, name) < 0 ? errno : 0);
}
