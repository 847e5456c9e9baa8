#include "guest/root.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "container/guest.h"
#include "sys/mount.h"

#define BASE "/run/viv"
#define DISK "/dev/vda"
#define LAYERS "lowerdir=" BASE "/lower,upperdir=" BASE "/upper/upper,workdir=" BASE "/upper/work"
#define PATIENCE_TURNS 5000 /* of 1 ms: the disk appears soon after its driver */

#define MS_RDONLY 1

static int make_folder(const char *path, struct error *err)
{
    int r = io_make_dirs_at(AT_FDCWD, path, 0755);

    return r < 0 ? error_sys(err, -r, "make %s", path) : 0;
}

static int mount_at(const char *source, const char *path, const char *type, unsigned long flags,
        const char *data, struct error *err)
{
    int r = make_folder(path, err);

    if (r == 0) {
        r = sys_mount(source, path, type, flags, data);
        if (r < 0)
            error_sys(err, -r, "mount %s (%s) on %s", source, type, path);
    }
    return r;
}

static bool has_size(const char *path, uint64_t expected)
{
    _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
    uint64_t size = 0;

    return fd >= 0 && (!expected || (ioctl(fd, BLKGETSIZE64, &size) == 0 && size == expected));
}

/* A disk that was changed for another is known by its size; what the kernel has kept of the former
 * is forgotten. */
static int wait_for_disk(uint64_t size, struct error *err)
{
    for (int turn = 0; !has_size(DISK, size); turn++) {
        if (turn == PATIENCE_TURNS)
            return error_set(err, ENODEV, "the machine has no disk " DISK " of %llu bytes",
                    (unsigned long long)size);
        usleep(1000);
    }
    _cleanup_close_ int fd = open(DISK, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || ioctl(fd, BLKFLSBUF, 0) < 0)
        return error_sys(err, errno, "flush " DISK);
    return 0;
}

/* What the workload writes ends with the machine. */
static int mount_passing(struct error *err)
{
    int r = mount_at("upper", BASE "/upper", "tmpfs", 0, "mode=0755", err);

    if (r == 0)
        r = make_folder(BASE "/upper/upper", err);
    return r < 0 ? r : make_folder(BASE "/upper/work", err);
}

/* Read-only below; above a folder of the host's or a tmpfs. A folder that is shared takes no marks
 * but the user's. */
static int mount_disk(uint64_t size, const char *upper, struct error *err)
{
    int r = wait_for_disk(size, err);

    if (r == 0)
        r = mount_at(DISK, BASE "/lower", "erofs", MS_RDONLY, NULL, err);
    if (r == 0)
        r = upper ? mount_at(upper, BASE "/upper", "virtiofs", 0, NULL, err) : mount_passing(err);
    if (r < 0)
        return r;
    return mount_at(
            "root", CONTAINER_GUEST_ROOT, "overlay", 0, upper ? LAYERS ",userxattr" : LAYERS, err);
}

int guest_mount_root(const char *kind, uint64_t disk_size, const char *upper, struct error *err)
{
    if (str_equal(kind, "disk"))
        return mount_disk(disk_size, upper, err);
    if (str_equal(kind, "share"))
        return mount_at("root", CONTAINER_GUEST_ROOT, "virtiofs", 0, NULL, err);
    return error_set(err, EINVAL, "a root of kind \"%s\" is unknown", kind);
}

static int check_place(const char *path, struct error *err)
{
    if (str_starts(path, CONTAINER_GUEST_SHARES "/") && !strstr(path, ".."))
        return 0;
    return error_set(err, EINVAL, "%s is no place for what the host shares", path);
}

int guest_mount_share(const struct agent_share *share, struct error *err)
{
    int r = check_place(share->path, err);

    if (r < 0)
        return r;
    return mount_at(
            share->tag, share->path, "virtiofs", share->read_only ? MS_RDONLY : 0, NULL, err);
}

int guest_write_file(const struct agent_file *file, struct error *err)
{
    _cleanup_arena_ struct arena arena = {0};
    size_t length = 0;
    void *data = NULL;
    int r = check_place(file->path, err);

    if (r == 0)
        r = make_folder(
                arena_strndup(&arena, file->path, (size_t)(strrchr(file->path, '/') - file->path)),
                err);
    if (r < 0)
        return r;
    if (file->data && agent_unhex(&arena, file->data, &data, &length) < 0)
        return error_set(err, EINVAL, "%s: the content is damaged", file->path);
    _cleanup_close_ int fd = open(file->path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return error_sys(err, errno, "make %s", file->path);
    r = io_write_all(fd, data, length);
    if (r < 0 || fchown(fd, file->uid, file->gid) < 0 || fchmod(fd, file->mode & 07777) < 0)
        return error_sys(err, r < 0 ? -r : errno, "write %s", file->path);
    return 0;
}
