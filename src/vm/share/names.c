/* Names: looked up, made, moved, taken away. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/openat2.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "sys/mount.h"
#include "vm/share/ops.h"

#define BENEATH (RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS)

int share_look_up(struct share *share, struct inode *parent, int parent_fd, const char *name,
        struct fuse_entry_param *ret)
{
    struct inode *inode;
    struct fuse_entry_param entry = {
            .attr_timeout = share_timeout(share), .entry_timeout = share_timeout(share)};
    int fd = sys_openat2(parent_fd, name, O_PATH | O_NOFOLLOW, 0, BENEATH);

    if (fd < 0)
        return fd;
    if (fstat(fd, &entry.attr) < 0) {
        int r = -errno;
        close(fd);
        return r;
    }
    int r = inodes_enter(&share->inodes, parent, name, fd, &entry.attr, &inode);
    if (r < 0)
        return r;
    entry.ino = inode->id;
    *ret = entry;
    return 0;
}

/* Where a name is to be looked for; replies when there is no such place. */
static struct inode *place_of(fuse_req_t req, fuse_ino_t parent, const char *name, int *ret_fd)
{
    if (share_name_is_good(name))
        return share_inode(req, parent, ret_fd);
    fuse_reply_err(req, strlen(name) > NAME_BYTES_MAX ? ENAMETOOLONG : EINVAL);
    return NULL;
}

/* As place_of(), of a name that is to be made, moved or taken away. */
static struct inode *place_to_change(
        fuse_req_t req, fuse_ino_t parent, const char *name, int *ret_fd)
{
    if (parent != INODES_ROOT || !share_of(req)->fixed)
        return place_of(req, parent, name, ret_fd);
    fuse_reply_err(req, EPERM);
    return NULL;
}

/* Answers with a name that was found or just made. */
static void reply_entry(fuse_req_t req, struct inode *parent, int fd, const char *name)
{
    struct fuse_entry_param entry;
    int r = share_look_up(share_of(req), parent, fd, name, &entry);

    if (r < 0)
        fuse_reply_err(req, -r);
    else
        fuse_reply_entry(req, &entry);
}

void share_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    int fd;
    struct inode *inode = place_of(req, parent, name, &fd);

    if (inode)
        reply_entry(req, inode, fd, name);
}

static void forget(struct share *share, uint64_t ino, uint64_t times)
{
    struct inode *inode = inodes_get(&share->inodes, ino);

    if (inode && ino != INODES_ROOT)
        inodes_forget(&share->inodes, inode, times);
}

void share_forget(fuse_req_t req, fuse_ino_t ino, uint64_t times)
{
    forget(share_of(req), ino, times);
    fuse_reply_none(req);
}

void share_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets)
{
    struct share *share = share_of(req);

    if (count <= share->request_length && share_came(share, forgets, count * sizeof(*forgets)))
        for (size_t i = 0; i < count; i++)
            forget(share, forgets[i].ino, forgets[i].nlookup);
    fuse_reply_none(req);
}

void share_readlink(fuse_req_t req, fuse_ino_t ino)
{
    char target[PATH_MAX];
    int fd;

    if (!share_inode(req, ino, &fd))
        return;
    ssize_t n = readlinkat(fd, "", target, sizeof(target) - 1);
    if (n < 0) {
        fuse_reply_err(req, errno);
        return;
    }
    target[n] = 0;
    fuse_reply_readlink(req, target);
}

/* ---- making ---- */

/* The end of each way of making something: `r` is 0 or negative errno. */
static void reply_made(fuse_req_t req, struct inode *parent, int fd, const char *name, int r)
{
    share_become_self(share_of(req));
    if (r < 0)
        fuse_reply_err(req, -r);
    else
        reply_entry(req, parent, fd, name);
}

void share_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t device)
{
    int fd;
    struct inode *inode = place_to_change(req, parent, name, &fd);

    if (!inode)
        return;
    /* a device node is a way to the host's devices, whoever opens it there; 0:0 is none, but how an
     * overlay in the guest marks what was removed */
    if ((S_ISCHR(mode) && device != 0) || S_ISBLK(mode)) {
        fuse_reply_err(req, EPERM);
        return;
    }
    int r = share_become(share_of(req), req);
    if (r == 0 && mknodat(fd, name, mode, device) < 0)
        r = -errno;
    reply_made(req, inode, fd, name, r);
}

void share_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
    int fd;
    struct inode *inode = place_to_change(req, parent, name, &fd);

    if (!inode)
        return;
    int r = share_become(share_of(req), req);
    if (r == 0 && mkdirat(fd, name, mode) < 0)
        r = -errno;
    reply_made(req, inode, fd, name, r);
}

void share_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name)
{
    int fd;
    struct inode *inode = place_to_change(req, parent, name, &fd);

    if (!inode)
        return;
    int r = share_become(share_of(req), req);
    if (r == 0 && symlinkat(target, fd, name) < 0)
        r = -errno;
    reply_made(req, inode, fd, name, r);
}

void share_create(
        fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, struct fuse_file_info *fi)
{
    struct share *share = share_of(req);
    struct fuse_entry_param entry;
    int fd;
    struct inode *inode = place_to_change(req, parent, name, &fd);

    if (!inode)
        return;
    int flags = fi->flags & (O_ACCMODE | O_TRUNC | O_EXCL | (share->writeback ? 0 : O_APPEND));
    if (share->writeback && (flags & O_ACCMODE) == O_WRONLY)
        flags = (flags & ~O_ACCMODE) | O_RDWR;
    int r = share_become(share, req);
    int file = r < 0 ? r
                     : sys_openat2(fd, name, (uint64_t)flags | O_CREAT | O_NOFOLLOW | O_NONBLOCK,
                               mode & 07777, BENEATH);
    share_become_self(share);
    r = file < 0 ? file : share_look_up(share, inode, fd, name, &entry);
    if (r < 0) {
        if (file >= 0)
            close(file);
        fuse_reply_err(req, -r);
        return;
    }
    struct inode *made = inodes_get(&share->inodes, entry.ino);
    struct stat st;
    /* the name may stand for something else by now, on the host */
    if (fstat(file, &st) < 0 || st.st_ino != made->ino || !S_ISREG(st.st_mode)) {
        close(file);
        r = -ESTALE;
    } else {
        r = handles_add(&share->handles, made, file, flags, &fi->fh);
    }
    if (r < 0) {
        inodes_forget(&share->inodes, made, 1);
        fuse_reply_err(req, -r);
        return;
    }
    share_fill_open(share, fi);
    fuse_reply_create(req, &entry, fi);
}

/* ---- names of what is there ---- */

void share_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t parent, const char *name)
{
    int fd, old_fd;
    struct stat st;
    struct inode *inode = share_inode(req, ino, &old_fd);
    struct inode *into = inode ? place_to_change(req, parent, name, &fd) : NULL;

    if (!into)
        return;
    /* by its name: to link a descriptor is the right of the host's root alone */
    int from = inode->name && inode->parent ? inodes_fd(&share_of(req)->inodes, inode->parent)
                                            : -ESTALE;
    int r = from < 0 ? from : 0;
    if (r == 0 && linkat(from, inode->name, fd, name, 0) < 0)
        r = -errno;
    if (r == 0 && fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
            (st.st_ino != inode->ino || st.st_dev != inode->dev)) {
        (void)unlinkat(fd, name, 0); /* the old name stood for something else */
        r = -ESTALE;
    }
    if (r < 0)
        fuse_reply_err(req, -r);
    else
        reply_entry(req, into, fd, name);
}

static void take_away(fuse_req_t req, fuse_ino_t parent, const char *name, int flags)
{
    int fd;
    struct inode *inode = place_to_change(req, parent, name, &fd);

    if (!inode)
        return;
    inodes_about_to_lose_name(&share_of(req)->inodes, inode, name);
    fuse_reply_err(req, unlinkat(fd, name, flags) < 0 ? errno : 0);
}

void share_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    take_away(req, parent, name, 0);
}

void share_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    take_away(req, parent, name, AT_REMOVEDIR);
}

/* What the guest knows by this name, or NULL. */
static struct inode *known_by(struct share *share, int fd, const char *name)
{
    struct stat st;

    return fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 ? NULL
                                                           : inodes_find(&share->inodes, &st);
}

void share_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t new_parent,
        const char *new_name, unsigned flags)
{
    struct share *share = share_of(req);
    int fd, new_fd;
    struct inode *from = place_to_change(req, parent, name, &fd);
    struct inode *to = from ? place_to_change(req, new_parent, new_name, &new_fd) : NULL;

    if (!to)
        return;
    struct inode *moved = known_by(share, fd, name);
    struct inode *other = known_by(share, new_fd, new_name);
    if (other && other != moved && !(flags & RENAME_EXCHANGE))
        inodes_about_to_lose_name(&share->inodes, to, new_name);
    if (syscall(SYS_renameat2, fd, name, new_fd, new_name, flags) < 0) {
        fuse_reply_err(req, errno);
        return;
    }
    if (moved)
        inodes_renamed(&share->inodes, moved, to, new_name);
    if (other && flags & RENAME_EXCHANGE)
        inodes_renamed(&share->inodes, other, from, name);
    fuse_reply_err(req, 0);
}
