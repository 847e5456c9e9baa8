#include "image/image.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "image/roots.h"
#include "image/shelf.h"
#include "image/tarout.h"

struct diff {
    struct image_store *store;
    const struct root_info *info;
    image_diff_fn fn;
    void *data;
};

static bool has(int dirfd, const char *folder, const char *path)
{
    struct stat st;
    _cleanup_close_ int fd = openat(dirfd, folder, O_PATH | O_DIRECTORY | O_CLOEXEC);

    return fd >= 0 && fstatat(fd, path, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

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
    return diff->info->folder && has(AT_FDCWD, diff->info->folder, path);
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
