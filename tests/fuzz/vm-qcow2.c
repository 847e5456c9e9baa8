/* The qcow2 reader on damaged images: opened, read at several places, written to and flushed. */
#include <sys/mman.h>
#include <unistd.h>

#include "base/io.h"
#include "vm/disk/disk.h"

#define PLACES 8

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char bytes[4096];
    struct disk_config config = {
            .file = {memfd_create("image", MFD_CLOEXEC), "image"}, .format = "qcow2"};
    struct iovec iov = {bytes, sizeof(bytes)};
    struct error err = ERROR_NONE;
    struct disk *disk;
    struct disk_place place;

    /* a name of a backing file would make it open any file of the host's */
    if (size >= 16 &&
            (data[8] | data[9] | data[10] | data[11] | data[12] | data[13] | data[14] | data[15])) {
        close(config.file.fd);
        return 0;
    }
    if (io_write_all(config.file.fd, data, size) < 0 || disk_open(&config, &disk, &err) < 0)
        return 0;
    for (uint64_t i = 0; i < PLACES && disk->size >= sizeof(bytes); i++) {
        uint64_t at = (disk->size - sizeof(bytes)) / PLACES * i & ~(uint64_t)(DISK_SECTOR - 1);
        (void)disk->ops->read(disk, at, &iov, 1);
        (void)disk->ops->write(disk, at, &iov, 1);
        (void)disk->ops->clear(disk, at, sizeof(bytes), i % 2 ? DISK_ZERO : DISK_ZERO_KEEP);
        if (disk->ops->locate(disk, at, sizeof(bytes), i % 2, &place))
            (void)pread(place.fd, bytes, sizeof(bytes), (off_t)place.offset);
        (void)disk->ops->read(disk, at, &iov, 1);
    }
    (void)disk->ops->flush(disk);
    disk_close(disk);
    return 0;
}
