#include "vm/disk/disk.h"

#include <endian.h>
#include <string.h>

#include "base/arena.h"
#include "base/cleanup.h"
#include "base/path.h"
#include "base/str.h"
#include "vm/disk/file.h"
#include "vm/disk/qcow2.h"
#include "vm/disk/raw.h"

static int open_chain(
        const struct disk_config *config, unsigned depth, struct disk **ret, struct error *err);

/* "" (none), or the backing file's path: beside the image when it is relative. */
static int open_backing(int fd, const struct disk_config *config, unsigned depth, struct disk **ret,
        struct error *err)
{
    _cleanup_arena_ struct arena arena = {0};
    char name[QCOW2_NAME_MAX + 1];
    struct disk_config next = {.file.fd = -1, .read_only = true};

    *ret = NULL;
    int r = qcow2_backing_name(fd, config->file.path, name, err);
    if (r < 0 || !*name)
        return r;
    if (depth + 1 >= DISK_BACKING_MAX)
        return error_set(
                err, ELOOP, "%s: more than %d backing files", config->file.path, DISK_BACKING_MAX);
    if (config->backing_count) {
        next.file = config->backing[0];
        next.backing = config->backing + 1;
        next.backing_count = config->backing_count - 1;
    } else {
        next.file.path =
                *name == '/' ? name : path_join(&arena, path_dir(&arena, config->file.path), name);
    }
    r = open_chain(&next, depth + 1, ret, err);
    return r < 0 ? error_prefix(err, "backing file of %s", config->file.path) : 0;
}

static bool is_qcow2(int fd, uint64_t size)
{
    uint32_t magic = 0;

    return size >= sizeof(magic) && file_read(fd, 0, &magic, sizeof(magic)) == 0 &&
           be32toh(magic) == QCOW2_MAGIC;
}

static int open_chain(
        const struct disk_config *config, unsigned depth, struct disk **ret, struct error *err)
{
    _cleanup_close_ int fd = -1;
    struct disk *backing;
    uint64_t size;
    const char *format = config->format;

    if (format && !str_equal(format, "raw") && !str_equal(format, "qcow2"))
        return error_set(err, EINVAL, "disk format \"%s\"; known are raw and qcow2", format);
    int r = file_open(&config->file, config->read_only, &fd, &size, err);
    if (r < 0)
        return r;
    if (!size)
        return error_set(err, EINVAL,
                "%s: is empty; make it as large as the disk is to be (truncate -s SIZE), or an "
                "image "
                "with qemu-img create -f qcow2",
                config->file.path);
    if (!format)
        format = is_qcow2(fd, size) ? "qcow2" : "raw";
    if (str_equal(format, "raw"))
        return raw_open(take_fd(&fd), size, config->read_only, !config->format, ret, err);
    r = open_backing(fd, config, depth, &backing, err);
    if (r < 0)
        return r;
    return qcow2_open(take_fd(&fd), size, config, backing, ret, err);
}

int disk_open(const struct disk_config *config, struct disk **ret, struct error *err)
{
    return open_chain(config, 0, ret, err);
}
