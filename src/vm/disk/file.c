#include "vm/disk/file.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"

#define IOV_AT_ONCE 64

static int lock_file(int fd, bool read_only, const char *path, struct error *err)
{
    struct flock lock = {.l_type = read_only ? F_RDLCK : F_WRLCK, .l_whence = SEEK_SET};

    if (fcntl(fd, F_OFD_SETLK, &lock) == 0)
        return 0;
    if (errno == EAGAIN || errno == EACCES)
        return error_set(err, EBUSY,
                "%s: another machine uses this disk%s; stop it first, or give "
                "each a read-only disk or a qcow2 overlay of its own",
                path, read_only ? " for writing" : "");
    return error_sys(err, errno, "lock %s", path);
}

static int find_size(int fd, const char *path, uint64_t *ret, struct error *err)
{
    struct stat st;

    if (fstat(fd, &st) < 0)
        return error_sys(err, errno, "fstat %s", path);
    if (S_ISREG(st.st_mode)) {
        *ret = (uint64_t)st.st_size;
        return 0;
    }
    if (!S_ISBLK(st.st_mode))
        return error_set(err, EINVAL, "%s: neither a file nor a block device", path);
    if (ioctl(fd, BLKGETSIZE64, ret) < 0)
        return error_sys(err, errno, "ioctl BLKGETSIZE64 on %s", path);
    return 0;
}

int file_open(const struct disk_file *file, bool read_only, int *ret_fd, uint64_t *ret_size,
        struct error *err)
{
    _cleanup_close_ int fd = file->fd;

    if (fd < 0)
        fd = open(file->path, (read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC);
    if (fd < 0)
        return error_sys_hint(err, errno,
                errno == ENOENT ? "make one with truncate -s SIZE (raw) or qemu-img create -f qcow2"
                                : NULL,
                "open the disk image %s", file->path);
    int r = find_size(fd, file->path, ret_size, err);
    if (r == 0)
        r = lock_file(fd, read_only, file->path, err);
    if (r == 0)
        *ret_fd = take_fd(&fd);
    return r;
}

int file_read(int fd, uint64_t offset, void *data, size_t length)
{
    struct iovec iov = {data, length};

    return file_readv(fd, offset, &iov, 1);
}

int file_write(int fd, uint64_t offset, const void *data, size_t length)
{
    struct iovec iov = {(void *)(uintptr_t)data, length};

    return file_writev(fd, offset, &iov, 1);
}

/* A window of an iovec list that moves on as bytes are done. */
struct window {
    const struct iovec *next;
    size_t left;
    size_t skip; /* bytes of *next that are done */
};

static size_t fill_window(const struct window *window, struct iovec *iov)
{
    size_t count = 0;
    size_t skip = window->skip;

    for (size_t i = 0; i < window->left && count < IOV_AT_ONCE; i++, skip = 0)
        if (window->next[i].iov_len > skip)
            iov[count++] = (struct iovec){
                    (char *)window->next[i].iov_base + skip, window->next[i].iov_len - skip};
    return count;
}

static void advance(struct window *window, size_t bytes)
{
    while (window->left && bytes >= window->next->iov_len - window->skip) {
        bytes -= window->next->iov_len - window->skip;
        window->next++;
        window->left--;
        window->skip = 0;
    }
    window->skip += bytes;
}

static void clear_rest(struct window *window)
{
    struct iovec iov[IOV_AT_ONCE];
    size_t count;

    while ((count = fill_window(window, iov)) > 0)
        for (size_t i = 0; i < count; i++) {
            memset(iov[i].iov_base, 0, iov[i].iov_len);
            advance(window, iov[i].iov_len);
        }
}

int file_readv(int fd, uint64_t offset, const struct iovec *list, size_t total)
{
    struct window window = {list, total, 0};
    struct iovec iov[IOV_AT_ONCE];
    size_t count;

    while ((count = fill_window(&window, iov)) > 0) {
        ssize_t n = preadv(fd, iov, (int)count, (off_t)offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0) {
            clear_rest(&window);
            return 0;
        }
        offset += (size_t)n;
        advance(&window, (size_t)n);
    }
    return 0;
}

int file_writev(int fd, uint64_t offset, const struct iovec *list, size_t total)
{
    struct window window = {list, total, 0};
    struct iovec iov[IOV_AT_ONCE];
    size_t count;

    while ((count = fill_window(&window, iov)) > 0) {
        ssize_t n = pwritev(fd, iov, (int)count, (off_t)offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -EIO;
        offset += (size_t)n;
        advance(&window, (size_t)n);
    }
    return 0;
}

static int write_zeros(int fd, uint64_t offset, uint64_t length)
{
    static const char zeros[65536];

    while (length) {
        size_t n = length < sizeof(zeros) ? length : sizeof(zeros);
        int r = file_write(fd, offset, zeros, n);
        if (r < 0)
            return r;
        offset += n;
        length -= n;
    }
    return 0;
}

int file_zero(int fd, uint64_t offset, uint64_t length)
{
    int mode = FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE;

    if (fallocate(fd, mode, (off_t)offset, (off_t)length) == 0)
        return 0;
    if (errno != EOPNOTSUPP && errno != ENODEV)
        return -errno;
    return write_zeros(fd, offset, length);
}

int file_punch(int fd, uint64_t offset, uint64_t length)
{
    int mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;

    return fallocate(fd, mode, (off_t)offset, (off_t)length) < 0 ? -errno : 0;
}
