#include "rootfs/idmappable.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <linux/mount.h>
#include <sys/vfs.h>

#include "base/cleanup.h"
#include "sys/mount.h"
#include "sys/userns.h"

#define XFS_MAGIC 0x58465342

static bool ask_kernel(const char *path)
{
    struct id_map one = {0, 65534, 1};
    struct id_maps maps = {&one, 1};
    _cleanup_close_ int tree = sys_open_tree(AT_FDCWD, path, OPEN_TREE_CLONE);
    _cleanup_close_ int namespace = tree < 0 ? -1 : sys_userns_new(&maps, &maps, NULL);

    if (namespace < 0)
        return false;
    struct mount_attr attributes = {.attr_set = MOUNT_ATTR_IDMAP, .userns_fd = (unsigned)namespace};
    return sys_mount_setattr(tree, "", AT_EMPTY_PATH, &attributes) == 0;
}

bool rootfs_idmappable(const char *path)
{
    static const long known[] = {EXT4_SUPER_MAGIC, XFS_MAGIC, BTRFS_SUPER_MAGIC};
    struct statfs found;

    if (statfs(path, &found) < 0)
        return false;
    for (size_t i = 0; i < ARRAY_SIZE(known); i++)
        if (found.f_type == known[i])
            return true;
    return ask_kernel(path);
}
