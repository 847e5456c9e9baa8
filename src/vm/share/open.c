/* Files of a share are opened anew by name, and are then known to be the same ones. */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "sys/mount.h"
#include "vm/share/ops.h"

/* A file without a name is reached through whoever has it open. */
static int open_nameless(struct share *share, const struct inode *inode, int flags)
{
    const struct handle *handle = handles_find(&share->handles, inode, flags);
    int fd = handle ? fcntl(handle->fd, F_DUPFD_CLOEXEC, 0) : -1;

    if (fd < 0)
        return handle ? -errno : -ESTALE;
    return fd;
}

static int open_named(struct share *share, struct inode *inode, int flags)
{
    uint64_t how = (uint64_t)(flags & ~O_TRUNC) | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;
    uint64_t resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS;
    struct stat st;

    if (S_ISDIR(inode->type)) {
        int own = inodes_fd(&share->inodes, inode);
        return own < 0 ? own : sys_openat2(own, ".", how, 0, resolve);
    }
    if (!inode->name)
        return open_nameless(share, inode, flags);
    int parent = inodes_fd(&share->inodes, inode->parent);
    if (parent < 0)
        return parent;
    /* what has the name now may be a device or a FIFO, which does things when it is opened */
    if (fstatat(parent, inode->name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? -ESTALE : -errno;
    if (st.st_ino != inode->ino || st.st_dev != inode->dev || !S_ISREG(st.st_mode))
        return -ESTALE;
    return sys_openat2(parent, inode->name, how, 0, resolve);
}

/* Opening for reading alone may truncate too, but what is open for reading alone cannot be. */
static int truncate_apart(struct share *share, struct inode *inode)
{
    int fd = share_open(share, inode, O_WRONLY | O_TRUNC);

    if (fd >= 0)
        close(fd);
    return fd < 0 ? fd : 0;
}

int share_open(struct share *share, struct inode *inode, int flags)
{
    _cleanup_close_ int fd = open_named(share, inode, flags);
    struct stat st;

    if (fd < 0) {
        int r = fd;
        fd = -1;
        return r;
    }
    if (fstat(fd, &st) < 0)
        return -errno;
    if (st.st_ino != inode->ino || st.st_dev != inode->dev || (st.st_mode & S_IFMT) != inode->type)
        return -ESTALE;
    /* only now that it is known to be the one */
    int r = 0;
    if (flags & O_TRUNC)
        r = flags & O_ACCMODE ? (ftruncate(fd, 0) < 0 ? -errno : 0) : truncate_apart(share, inode);
    return r < 0 ? r : take_fd(&fd);
}

void share_open_again(struct share *share)
{
    for (uint32_t i = 0; i < share->handles.capacity; i++) {
        struct handle *handle = share->handles.list[i];
        if (!handle || handle->fd >= 0)
            continue;
        inodes_begin(&share->inodes);
        bool folder = S_ISDIR(handle->inode->type);
        int fd = share_open(share, handle->inode, folder ? O_RDONLY | O_DIRECTORY : handle->flags);
        if (fd >= 0)
            handle->fd = fd;
    }
}
