#include "vm/disk/raw.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "vm/disk/file.h"

struct raw {
    struct disk disk;
    int fd;
};

static struct raw *raw_of(struct disk *disk)
{
    return (struct raw *)disk; /* its first member */
}

static int raw_read(struct disk *disk, uint64_t offset, const struct iovec *iov, size_t count)
{
    return file_readv(raw_of(disk)->fd, offset, iov, count);
}

static int raw_write(struct disk *disk, uint64_t offset, const struct iovec *iov, size_t count)
{
    return file_writev(raw_of(disk)->fd, offset, iov, count);
}

static int raw_flush(struct disk *disk)
{
    return disk->read_only || fdatasync(raw_of(disk)->fd) == 0 ? 0 : -errno;
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

static int raw_discard(struct disk *disk, uint64_t offset, uint64_t length, bool zero)
{
    int fd = raw_of(disk)->fd;
    int r = file_punch(fd, offset, length);

    if (r == -EOPNOTSUPP || r == -ENODEV)
        return zero ? write_zeros(fd, offset, length) : 0;
    return r;
}

static void raw_close(struct disk *disk)
{
    cleanup_close(&raw_of(disk)->fd);
    free(disk);
}

static const struct disk_ops raw_ops = {
        .name = "raw",
        .read = raw_read,
        .write = raw_write,
        .flush = raw_flush,
        .discard = raw_discard,
        .close = raw_close,
};

int raw_open(int fd, uint64_t size, bool read_only, struct disk **ret, struct error *err)
{
    struct raw *raw = calloc(1, sizeof(*raw));

    if (!raw) {
        cleanup_close(&fd);
        return error_set(err, ENOMEM, "out of memory");
    }
    raw->disk = (struct disk){
            &raw_ops, (size + DISK_SECTOR - 1) & ~(uint64_t)(DISK_SECTOR - 1), read_only};
    raw->fd = fd;
    *ret = &raw->disk;
    return 0;
}
