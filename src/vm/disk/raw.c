#include "vm/disk/raw.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "vm/disk/file.h"
#include "vm/disk/qcow2.h"

struct raw {
    struct disk disk;
    int fd;
    bool guessed;
    uint64_t end; /* of the file, bytes */
};

static struct raw *raw_of(struct disk *disk)
{
    return (struct raw *)disk; /* its first member */
}

static int raw_read(struct disk *disk, uint64_t offset, const struct iovec *iov, size_t count)
{
    return file_readv(raw_of(disk)->fd, offset, iov, count);
}

/* The first sector is copied before it is looked at: the rest of the transfer is where the guest
 * can still change it. */
static int write_guarded(int fd, const struct iovec *iov, size_t count)
{
    uint8_t head[DISK_SECTOR] = {0};
    struct iovec rest = {0};
    uint32_t magic;
    size_t filled = 0, i = 0;

    for (; i < count && filled < sizeof(head); i++) {
        size_t room = sizeof(head) - filled;
        size_t part = iov[i].iov_len < room ? iov[i].iov_len : room;
        memcpy(head + filled, iov[i].iov_base, part);
        filled += part;
        rest = (struct iovec){(char *)iov[i].iov_base + part, iov[i].iov_len - part};
    }
    memcpy(&magic, head, sizeof(magic));
    if (be32toh(magic) == QCOW2_MAGIC)
        return -EPERM;
    int r = file_write(fd, 0, head, filled);
    if (r == 0 && rest.iov_len)
        r = file_writev(fd, filled, &rest, 1);
    return r < 0 || i == count ? r : file_writev(fd, filled + rest.iov_len, iov + i, count - i);
}

static int raw_write(struct disk *disk, uint64_t offset, const struct iovec *iov, size_t count)
{
    const struct raw *raw = raw_of(disk);

    if (raw->guessed && offset == 0)
        return write_guarded(raw->fd, iov, count);
    return file_writev(raw->fd, offset, iov, count);
}

static int raw_flush(struct disk *disk)
{
    return disk->read_only || fdatasync(raw_of(disk)->fd) == 0 ? 0 : -errno;
}

static int raw_clear(struct disk *disk, uint64_t offset, uint64_t length, enum disk_clear how)
{
    int fd = raw_of(disk)->fd;

    if (how == DISK_ZERO_KEEP)
        return file_zero(fd, offset, length);
    int r = file_punch(fd, offset, length);
    if (r == -EOPNOTSUPP || r == -ENODEV)
        return how == DISK_DISCARD ? 0 : file_zero(fd, offset, length);
    return r;
}

static bool raw_locate(
        struct disk *disk, uint64_t offset, uint64_t length, bool for_write, struct disk_place *ret)
{
    const struct raw *raw = raw_of(disk);

    if (offset + length > raw->end) /* a last sector that is not all there */
        return false;
    if (for_write && raw->guessed && offset == 0)
        return false;
    *ret = (struct disk_place){raw->fd, offset};
    return true;
}

static int raw_flush_file(const struct disk *disk)
{
    return disk->read_only ? -1 : ((const struct raw *)disk)->fd;
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
        .clear = raw_clear,
        .locate = raw_locate,
        .flush_file = raw_flush_file,
        .close = raw_close,
};

int raw_open(
        int fd, uint64_t size, bool read_only, bool guessed, struct disk **ret, struct error *err)
{
    struct raw *raw = calloc(1, sizeof(*raw));

    if (!raw) {
        cleanup_close(&fd);
        return error_set(err, ENOMEM, "out of memory");
    }
    raw->disk = (struct disk){
            &raw_ops, (size + DISK_SECTOR - 1) & ~(uint64_t)(DISK_SECTOR - 1), read_only};
    raw->fd = fd;
    raw->end = size;
    raw->guessed = guessed;
    *ret = &raw->disk;
    return 0;
}
