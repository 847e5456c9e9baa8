#include "image/image.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/path.h"
#include "image/roots.h"
#include "image/shelf.h"
#include "image/tarout.h"
#include "sys/mount.h"

static int set(int fs_fd, const char *key, const char *value, struct error *err)
{
    int r = sys_fsconfig(fs_fd, FSCONFIG_SET_STRING, key, value, 0);

    return r < 0 ? error_sys(err, -r, "overlay option %s=%s", key, value) : 0;
}

/* A detached clone of a folder, seen through the user namespace's ids. */
static int map_folder(const char *path, int userns_fd, struct error *err)
{
    struct mount_attr attributes = {
            .attr_set = MOUNT_ATTR_IDMAP, .userns_fd = (uint64_t)(unsigned)userns_fd};

    _cleanup_close_ int fd = sys_open_tree(AT_FDCWD, path, OPEN_TREE_CLONE);
    if (fd < 0)
        return error_sys(err, -fd, "open_tree %s", path);
    int r = sys_mount_setattr(fd, "", AT_EMPTY_PATH, &attributes);
    if (r < 0)
        return error_sys(err, -r, "map the owners of %s (mount_setattr MOUNT_ATTR_IDMAP)", path);
    return take_fd(&fd);
}

/* A mount that is being made. A mapped clone is gone with its last descriptor, so they are kept
 * until the overlay has taken clones of its own. */
struct overlay {
    int fs_fd;
    int userns_fd; /* -1: nothing is mapped */
    int *clones;
    size_t clone_count;
    size_t clone_room;
    struct arena arena;
};

static void overlay_end(struct overlay *overlay)
{
    for (size_t i = 0; i < overlay->clone_count; i++)
        close(overlay->clones[i]);
    if (overlay->fs_fd >= 0)
        close(overlay->fs_fd);
    arena_free(&overlay->arena);
}

static int keep_clone(struct overlay *o, const char *path, struct error *err)
{
    int fd = map_folder(path, o->userns_fd, err);

    if (fd < 0)
        return fd;
    o->clones =
            arena_grow(&o->arena, o->clones, o->clone_count, &o->clone_room, sizeof(*o->clones));
    o->clones[o->clone_count++] = fd;
    return fd;
}

/* By descriptor from Linux 6.13 on; only so can a folder be a mapped mount that is nowhere
 * attached. */
static int set_lower(struct overlay *o, const char *path, struct error *err)
{
    if (o->userns_fd < 0)
        return set(o->fs_fd, "lowerdir+", path, err);
    int fd = keep_clone(o, path, err);
    if (fd < 0)
        return fd;
    int r = sys_fsconfig(o->fs_fd, FSCONFIG_SET_FD, "lowerdir+", NULL, fd);
    return r < 0 ? error_sys(err, -r, "overlay option lowerdir+=<%s>", path) : 0;
}

/* The upper folder and overlayfs's work folder have to be on one mount: both are taken from a
 * mapped clone of the folder that holds them. */
static int set_upper(struct overlay *o, const struct image_root *root, struct error *err)
{
    static const char *const keys[] = {"upperdir", "workdir"};
    const char *const paths[] = {root->upper, root->work};
    int parent = -1;
    int r = 0;

    if (o->userns_fd >= 0)
        parent = keep_clone(o, path_dir(&o->arena, root->upper), err);
    if (o->userns_fd >= 0 && parent < 0)
        return parent;
    for (size_t i = 0; i < ARRAY_SIZE(keys) && r == 0; i++) {
        if (o->userns_fd < 0) {
            r = set(o->fs_fd, keys[i], paths[i], err);
            continue;
        }
        _cleanup_close_ int fd =
                openat(parent, path_base(paths[i]), O_PATH | O_DIRECTORY | O_CLOEXEC);
        r = fd < 0 ? -errno : sys_fsconfig(o->fs_fd, FSCONFIG_SET_FD, keys[i], NULL, fd);
        if (r < 0)
            r = error_sys(err, -r, "overlay option %s=<%s>", keys[i], paths[i]);
    }
    return r;
}

static int set_layers(
        struct overlay *o, const struct image_root *root, bool read_only, struct error *err)
{
    int r = 0;

    /* with nothing above it, the upper folder is only one more to read */
    if (read_only)
        r = set_lower(o, root->upper, err);
    for (size_t i = 0; i < root->lower.count && r == 0; i++)
        r = set_lower(o, root->lower.words[i], err);
    return r < 0 || read_only ? r : set_upper(o, root, err);
}

static int create(struct overlay *o, const struct image_root *root, struct error *err)
{
    static const struct {
        const char *key;
        const char *value;
    } options[] = {
            {"source", "vivarium"}, {"redirect_dir", "off"}, {"metacopy", "off"}, {"index", "off"}};
    int r = 0;

    for (size_t i = 0; i < ARRAY_SIZE(options) && r == 0; i++)
        r = set(o->fs_fd, options[i].key, options[i].value, err);
    if (r < 0)
        return r;
    if (geteuid() != 0)
        r = sys_fsconfig(o->fs_fd, FSCONFIG_SET_FLAG, "userxattr", NULL, 0);
    if (r == 0)
        r = sys_fsconfig(o->fs_fd, FSCONFIG_CMD_CREATE, NULL, NULL, 0);
    return r < 0 ? error_sys(err, -r, "mount the overlay of root \"%s\" (%zu layers)", root->id,
                           root->lower.count)
                 : 0;
}

int image_root_mount(const struct image_root *root, int userns_fd, bool read_only, int *ret_fd,
        struct error *err)
{
    _cleanup_(overlay_end) struct overlay o = {.userns_fd = userns_fd};

    o.fs_fd = sys_fsopen("overlay", 0);
    if (o.fs_fd < 0)
        return error_sys(err, -o.fs_fd, "fsopen overlay");
    int r = set_layers(&o, root, read_only, err);
    if (r == 0)
        r = create(&o, root, err);
    if (r < 0)
        return r;
    int fd = sys_fsmount(o.fs_fd, 0, read_only ? MOUNT_ATTR_RDONLY : 0);
    if (fd < 0)
        return error_sys(err, -fd, "fsmount the overlay of root \"%s\"", root->id);
    *ret_fd = fd;
    return 0;
}

/* --- diff
 * -------------------------------------------------------------------------------------------- */

struct diff {
    struct image_store *store;
    const struct root_info *info;
    image_diff_fn fn;
    void *data;
};

/* Whether a layer below has the path, looked for from the top; a whiteout ends the search. */
static bool is_below(const struct diff *diff, const char *path)
{
    for (size_t i = diff->info->layers.count; i-- > 0;) {
        char layer[SHELF_PATH_SIZE];
        struct stat st;
        shelf_path(diff->info->layers.words[i], "/diff", layer);
        _cleanup_close_ int fd =
                openat(diff->store->root_fd, layer, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (fd >= 0 && fstatat(fd, path, &st, AT_SYMLINK_NOFOLLOW) == 0)
            return !tarout_is_whiteout(&st);
    }
    return false;
}

static int walk(const struct diff *diff, int dirfd, const char *prefix, struct error *err);

static int show(
        const struct diff *diff, int dirfd, const char *name, const char *prefix, struct error *err)
{
    char path[4096];
    struct stat st;

    if (snprintf(path, sizeof(path), "%s/%s", prefix, name) >= (int)sizeof(path) ||
            fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return 0;
    if (tarout_is_whiteout(&st))
        return diff->fn(IMAGE_DELETED, path, diff->data);
    int r = diff->fn(is_below(diff, path + 1) ? IMAGE_CHANGED : IMAGE_ADDED, path, diff->data);
    if (r < 0 || !S_ISDIR(st.st_mode))
        return r;
    _cleanup_close_ int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return fd < 0 ? error_sys(err, errno, "open %s", path) : walk(diff, fd, path, err);
}

static int walk(const struct diff *diff, int dirfd, const char *prefix, struct error *err)
{
    int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    _cleanup_closedir_ DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    struct dirent *entry;
    int r = 0;

    if (!dir)
        return error_sys(err, errno, "open %s", prefix);
    while (r == 0 && (entry = readdir(dir)))
        if (!str_equal(entry->d_name, ".") && !str_equal(entry->d_name, ".."))
            r = show(diff, fd, entry->d_name, prefix, err);
    return r;
}

int image_root_diff(
        struct image_store *store, const char *id, image_diff_fn fn, void *data, struct error *err)
{
    _cleanup_arena_ struct arena arena = {0};
    struct root_info info;
    struct diff diff = {store, &info, fn, data};

    int r = root_load(store, id, &arena, &info, err);
    if (r < 0)
        return r;
    _cleanup_close_ int upper = root_open_upper(store, id, err);
    return upper < 0 ? upper : walk(&diff, upper, "", err);
}
