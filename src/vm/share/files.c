/* Regular files: opened, read, written. Data goes between the file and guest memory directly. */
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <sys/uio.h>
#include <unistd.h>

#include "vm/disk/file.h"
#include "vm/share/ops.h"

/* What the guest's kernel may do with a file that was opened. */
void share_fill_open(const struct share *share, struct fuse_file_info *fi)
{
    fi->keep_cache = share->cache == SHARE_CACHE_ALWAYS;
    fi->direct_io = share->cache == SHARE_CACHE_NEVER;
}

void share_open_file(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    struct share *share = share_of(req);
    int path_fd;
    struct inode *inode = share_inode(req, ino, &path_fd);

    if (!inode)
        return;
    int flags = fi->flags & (O_ACCMODE | O_TRUNC | O_APPEND);
    if (share->read_only && (flags & O_ACCMODE || flags & O_TRUNC)) {
        fuse_reply_err(req, EROFS);
        return;
    }
    if (share->writeback) { /* the guest's kernel reads to fill pages, and knows where the end is */
        flags &= ~O_APPEND;
        if ((flags & O_ACCMODE) == O_WRONLY)
            flags = (flags & ~O_ACCMODE) | O_RDWR;
    }
    int fd = S_ISREG(inode->type) ? share_open(share, inode, flags) : -EINVAL;
    int r = fd < 0 ? fd : handles_add(&share->handles, inode, fd, flags, &fi->fh);
    if (r < 0) {
        fuse_reply_err(req, -r);
        return;
    }
    share_fill_open(share, fi);
    fuse_reply_open(req, fi);
}

/* The open file of a request; replies when there is none. */
static const struct handle *handle_of(
        fuse_req_t req, fuse_ino_t ino, const struct fuse_file_info *fi)
{
    struct share *share = share_of(req);
    struct inode *inode = inodes_get(&share->inodes, ino);
    const struct handle *handle = inode ? handles_get(&share->handles, inode, fi->fh) : NULL;

    if (handle && handle->fd >= 0)
        return handle;
    fuse_reply_err(req, handle ? ESTALE : EBADF);
    return NULL;
}

void share_read(
        fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi)
{
    struct share *share = share_of(req);
    const struct handle *handle = handle_of(req, ino, fi);
    struct iovec iov[VIRTQ_SEGMENTS_MAX];
    uint64_t room, done = 0;

    if (!handle)
        return;
    size_t count =
            virtq_slice(share->chain, true, sizeof(struct fuse_out_header), size, iov, &room);
    if (offset < 0 || room < size) {
        fuse_reply_err(req, EINVAL);
        return;
    }
    while (done < size) {
        ssize_t n = preadv(handle->fd, iov, (int)count, offset + (off_t)done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && done == 0) {
            fuse_reply_err(req, errno);
            return;
        }
        if (n <= 0)
            break;
        done += (uint64_t)n;
        if (done < size) /* near the end of the file, or a signal */
            count = virtq_slice(share->chain, true, sizeof(struct fuse_out_header) + done,
                    size - done, iov, &room);
    }
    /* the data is where it belongs: the reply consists of the same memory */
    count = virtq_slice(share->chain, true, sizeof(struct fuse_out_header), done, iov, &room);
    share->in_place = true;
    fuse_reply_iov(req, iov, (int)count);
}

void share_write_buf(fuse_req_t req, fuse_ino_t ino, struct fuse_bufvec *data, off_t offset,
        struct fuse_file_info *fi)
{
    struct share *share = share_of(req);
    const struct handle *handle = handle_of(req, ino, fi); /* which replies, and ends `req` */
    struct iovec iov[VIRTQ_SEGMENTS_MAX];
    size_t size = data->buf[0].size; /* libfuse has compared it with the request's length */
    size_t done = 0;

    if (!handle)
        return;
    while (offset >= 0 && done < size) {
        uint64_t bytes;
        size_t count = virtq_slice(share->chain, false,
                sizeof(struct fuse_in_header) + sizeof(struct fuse_write_in) + done, size - done,
                iov, &bytes);
        ssize_t n = pwritev(handle->fd, iov, (int)count, offset + (off_t)done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && done == 0) {
            fuse_reply_err(req, errno);
            return;
        }
        if (n <= 0)
            break;
        done += (size_t)n;
    }
    if (offset < 0)
        fuse_reply_err(req, EINVAL);
    else
        fuse_reply_write(req, done);
}

void share_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    struct share *share = share_of(req);

    (void)ino;
    handles_close(&share->handles, &share->inodes, fi->fh);
    fuse_reply_err(req, 0);
}

void share_fsync(fuse_req_t req, fuse_ino_t ino, int only_data, struct fuse_file_info *fi)
{
    const struct handle *handle = handle_of(req, ino, fi);

    if (!handle)
        return;
    int r = only_data ? fdatasync(handle->fd) : fsync(handle->fd);
    fuse_reply_err(req, r < 0 ? errno : 0);
}

void share_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t offset, off_t length,
        struct fuse_file_info *fi)
{
    const struct handle *handle = handle_of(req, ino, fi);

    if (handle)
        fuse_reply_err(req, fallocate(handle->fd, mode, offset, length) < 0 ? errno : 0);
}

void share_lseek(
        fuse_req_t req, fuse_ino_t ino, off_t offset, int whence, struct fuse_file_info *fi)
{
    const struct handle *handle = handle_of(req, ino, fi);

    if (!handle)
        return;
    off_t found = lseek(handle->fd, offset, whence);
    if (found < 0)
        fuse_reply_err(req, errno);
    else
        fuse_reply_lseek(req, found);
}

void share_copy_file_range(fuse_req_t req, fuse_ino_t from, off_t from_offset,
        struct fuse_file_info *from_fi, fuse_ino_t to, off_t to_offset,
        struct fuse_file_info *to_fi, size_t length, int flags)
{
    const struct handle *in = handle_of(req, from, from_fi);
    const struct handle *out = in ? handle_of(req, to, to_fi) : NULL;

    if (!out)
        return;
    ssize_t n = copy_file_range(in->fd, &from_offset, out->fd, &to_offset, length, (unsigned)flags);
    if (n < 0)
        fuse_reply_err(req, errno);
    else
        fuse_reply_write(req, (size_t)n);
}
