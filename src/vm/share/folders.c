/* Folders: their entries, with or without attributes. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "vm/share/ops.h"

#define REPLY_MAX ((size_t)256 << 10)

void share_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    struct share *share = share_of(req);
    int path_fd;
    struct inode *inode = share_inode(req, ino, &path_fd);

    if (!inode)
        return;
    int fd = S_ISDIR(inode->type) ? share_open(share, inode, O_RDONLY | O_DIRECTORY) : -ENOTDIR;
    int r = fd < 0 ? fd : handles_add(&share->handles, inode, fd, O_RDONLY, &fi->fh);
    if (r < 0) {
        fuse_reply_err(req, -r);
        return;
    }
    fi->keep_cache = fi->cache_readdir = share->cache == SHARE_CACHE_ALWAYS;
    fuse_reply_open(req, fi);
}

/* The entry at an offset that an earlier one gave. 1, 0 at the end, or negative errno. */
static int next_entry(struct handle *handle, off_t offset, const struct dirent64 **ret)
{
    if (!handle->entries) {
        handle->entries = malloc(HANDLE_ENTRIES);
        if (!handle->entries)
            return -ENOMEM;
    }
    if (offset != handle->offset) {
        handle->done = handle->length = 0;
        if (lseek(handle->fd, offset, SEEK_SET) < 0)
            return -errno;
        handle->offset = offset;
    }
    if (handle->done >= handle->length) {
        ssize_t n = getdents64(handle->fd, handle->entries, HANDLE_ENTRIES);
        handle->done = handle->length = 0;
        if (n <= 0)
            return n < 0 ? -errno : 0;
        handle->length = (size_t)n;
    }
    *ret = (const struct dirent64 *)(const void *)(handle->entries + handle->done);
    return 1;
}

static void pass_entry(struct handle *handle, const struct dirent64 *entry)
{
    handle->done += entry->d_reclen;
    handle->offset = entry->d_off;
}

/* Appends an entry to the reply; its size, which is larger than `room` when it did not fit. */
static size_t add_entry(fuse_req_t req, struct handle *handle, int folder_fd, bool plus,
        const struct dirent64 *entry, char *to, size_t room)
{
    struct share *share = share_of(req);
    const char *name = entry->d_name;
    struct fuse_entry_param found = {
            .attr = {.st_ino = entry->d_ino, .st_mode = (mode_t)entry->d_type << 12}};
    bool dots = str_equal(name, ".") || str_equal(name, "..");

    if (!plus)
        return fuse_add_direntry(req, to, room, name, &found.attr, entry->d_off);
    size_t size = fuse_add_direntry_plus(req, NULL, 0, name, NULL, 0);
    if (size > room)
        return size;
    if (!dots && share_look_up(share, handle->inode, folder_fd, name, &found) < 0)
        found.ino = 0; /* it went meanwhile: the guest gets the name without attributes */
    return fuse_add_direntry_plus(req, to, room, name, &found, entry->d_off);
}

static void read_folder(
        fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, uint64_t fh, bool plus)
{
    struct share *share = share_of(req);
    int folder_fd, r = 0;
    struct inode *inode = share_inode(req, ino, &folder_fd);
    struct handle *handle = inode ? handles_get(&share->handles, inode, fh) : NULL;
    const struct dirent64 *entry = NULL;
    size_t length = 0;

    if (!inode)
        return;
    if (!handle || !S_ISDIR(inode->type) || handle->fd < 0) {
        fuse_reply_err(req, handle && handle->fd < 0 ? ESTALE : EBADF);
        return;
    }
    if (size > REPLY_MAX)
        size = REPLY_MAX;
    _cleanup_free_ char *reply = malloc(size ? size : 1);
    if (!reply) {
        fuse_reply_err(req, ENOMEM);
        return;
    }
    while ((r = next_entry(handle, offset, &entry)) > 0) {
        size_t added =
                add_entry(req, handle, folder_fd, plus, entry, reply + length, size - length);
        if (added > size - length)
            break;
        length += added;
        offset = entry->d_off;
        pass_entry(handle, entry);
    }
    if (r < 0 && length == 0)
        fuse_reply_err(req, -r);
    else
        fuse_reply_buf(req, reply, length);
}

void share_readdir(
        fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi)
{
    read_folder(req, ino, size, offset, fi->fh, false);
}

void share_readdirplus(
        fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi)
{
    read_folder(req, ino, size, offset, fi->fh, true);
}
