/*
 * What a disk image is: the table that each format fills, and what one is opened with. Used by the
 * formats and by those who have a disk. A disk belongs to the thread of its device and owns its
 * descriptors.
 *
 * Promise: when flush() returns 0, everything written before it survives a power cut, and so, all
 * the more, a kill of the process.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/error.h"

#define DISK_SECTOR 512
#define DISK_BACKING_MAX 16 /* images in a chain */

struct disk;

/* Where a range of a disk lies, as a whole, in one of its files. The descriptor stays the disk's.
 */
struct disk_place {
    int fd;
    uint64_t offset;
};

enum disk_clear {
    DISK_DISCARD,   /* reads as anything from now on; the space is given back where that can be */
    DISK_ZERO,      /* reads as zeros, and the space is given back */
    DISK_ZERO_KEEP, /* reads as zeros, and what has space keeps it */
};

/* Offsets and lengths are in bytes, multiples of DISK_SECTOR, and lie inside the disk. Returns are
 * 0 or negative errno. */
struct disk_ops {
    const char *name;
    int (*read)(struct disk *disk, uint64_t offset, const struct iovec *iov, size_t count);
    int (*write)(struct disk *disk, uint64_t offset, const struct iovec *iov, size_t count);
    int (*flush)(struct disk *disk);

    int (*clear)(struct disk *disk, uint64_t offset, uint64_t length, enum disk_clear how);

    /* For transfers that do not wait for each other (ring.h): where the range lies, when reading or
     * writing there is all that the disk itself would do. False: it has to be asked. */
    bool (*locate)(struct disk *disk, uint64_t offset, uint64_t length, bool for_write,
            struct disk_place *ret);

    /* The file whose fdatasync(2) is all that flush() would do now, or -1. */
    int (*flush_file)(const struct disk *disk);
    void (*close)(struct disk *disk);
};

struct disk {
    const struct disk_ops *ops;
    uint64_t size; /* bytes */
    bool read_only;
};

/* One file of a chain. */
struct disk_file {
    int fd;           /* taken over by disk_open(), also on failure; -1: open the path */
    const char *path; /* for messages, and to find a backing file beside it */
};

struct disk_config {
    struct disk_file file;
    const char *format; /* "raw", "qcow2", NULL: by content */
    bool read_only;
    const struct disk_file *backing; /* already opened ones, nearest first; NULL: by path */
    size_t backing_count;
};

/* Writes what was not flushed yet, and gives everything back. NULL is fine. */
static inline void disk_close(struct disk *disk)
{
    if (!disk)
        return;
    (void)disk->ops->flush(disk); /* nobody is left who could be told */
    disk->ops->close(disk);
}
