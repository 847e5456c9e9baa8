#include "rootfs/overlayupper.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "sys/mount.h"

bool overlay_can_keep(const char *path)
{
    static const long unable[] = {OVERLAYFS_SUPER_MAGIC, NFS_SUPER_MAGIC};
    struct statfs found;

    if (statfs(path, &found) < 0)
        return true;
    for (size_t i = 0; i < ARRAY_SIZE(unable); i++)
        if (found.f_type == unable[i])
            return false;
    return true;
}

static int mount_memory(void)
{
    _cleanup_close_ int fs_fd = sys_fsopen("tmpfs", 0);
    int r = fs_fd;

    if (r >= 0)
        r = sys_fsconfig(fs_fd, FSCONFIG_CMD_CREATE, NULL, NULL, 0);
    return r < 0 ? r : sys_fsmount(fs_fd, 0, 0);
}

/* The upper folder is "/" to come. No owner is shifted in memory: it gets the one that is seen. */
static int make_folders(const struct overlay_mount *mount, int fd)
{
    bool mapped = mount->userns_fd >= 0;
    struct stat like;
    int r = 0;

    if (stat(mount->layers->upper, &like) < 0)
        return -errno;
    r = sys_mkdirat(fd, "work", 0700);
    if (r == 0)
        r = sys_mkdirat(fd, "upper", 0700);
    if (r == 0)
        r = sys_fchownat(fd, "upper", mapped ? mount->uid : like.st_uid,
                mapped ? mount->gid : like.st_gid, 0);
    if (r == 0 && fchmodat(fd, "upper", like.st_mode & 07777, 0) < 0)
        r = -errno;
    return r;
}

int overlay_memory(const struct overlay_mount *mount, struct error *err)
{
    _cleanup_close_ int fd = mount_memory();
    int r = fd < 0 ? fd : make_folders(mount, fd);

    return r < 0 ? error_sys(err, -r, "make a tmpfs for what the sandbox changes") : take_fd(&fd);
}

void overlay_memory_describe(struct step_text *text)
{
    step_call(text, "fsopen(\"tmpfs\", FSOPEN_CLOEXEC)");
    step_call(text, "fsconfig(<memory>, FSCONFIG_CMD_CREATE, NULL, NULL, 0)");
    step_call(text, "fsmount(<memory>, FSMOUNT_CLOEXEC, 0)");
    step_call(text, "mkdirat(<memory>, \"work\", 0700)");
    step_call(text, "mkdirat(<memory>, \"upper\", 0700)");
    step_call(text, "fchownat(<memory>, \"upper\", <uid>, <gid>, 0)");
    step_call(text, "fchmodat(<memory>, \"upper\", <mode>)");
}

const char *overlay_upper_hint(const struct rootfs_overlay *layers)
{
    return layers->passing || layers->in_memory
                   ? "the file system of the data root cannot hold the changes of a sandbox: "
                     "choose another place with --data-root"
                   : "the file system of the data root cannot hold the changes of a sandbox "
                     "(overlayfs upon overlayfs, NFS …): choose another place with --data-root, "
                     "in a container a volume; or add --rm, with which they are kept in memory "
                     "and end with the sandbox";
}
