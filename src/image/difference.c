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

#define DEPTH_MAX 1024
#define PATH_SIZE 4096

/* The path is here and not in the functions, which call each other for each level of a tree that a
 * sandbox has nested as deep as it likes. */
struct diff {
    struct image_store *store;
    const struct root_info *info;
    image_diff_fn fn;
    void *data;
    unsigned depth;
    char path[PATH_SIZE]; /* of the entry at hand */
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

static int walk(struct diff *diff, int dirfd, size_t prefix, struct error *err);

static int show(struct diff *diff, int dirfd, const char *name, size_t prefix, struct error *err)
{
    struct stat st;
    int added = snprintf(diff->path + prefix, PATH_SIZE - prefix, "/%s", name);

    if (added >= (int)(PATH_SIZE - prefix))
        return error_set(err, ENAMETOOLONG, "a path below %.64s… is longer than %d bytes",
                diff->path, PATH_SIZE - 1);
    if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return 0;
    if (tarout_is_whiteout(&st))
        return diff->fn(IMAGE_DELETED, diff->path, diff->data);
    bool below = is_below(diff, diff->path + 1);
    int r = diff->fn(below ? IMAGE_CHANGED : IMAGE_ADDED, diff->path, diff->data);
    if (r < 0 || !S_ISDIR(st.st_mode))
        return r;
    _cleanup_close_ int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return fd < 0 ? error_sys(err, errno, "open %s", diff->path)
                  : walk(diff, fd, prefix + (size_t)added, err);
}

static int walk(struct diff *diff, int dirfd, size_t prefix, struct error *err)
{
    int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    _cleanup_closedir_ DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    struct dirent *entry;
    int r = 0;

    if (!dir)
        return error_sys(err, errno, "open %s", diff->path);
    if (diff->depth == DEPTH_MAX)
        return error_set(err, ELOOP, "folders are nested more than %d deep", DEPTH_MAX);
    diff->depth++;
    while (r == 0 && (entry = readdir(dir)))
        if (!str_equal(entry->d_name, ".") && !str_equal(entry->d_name, ".."))
            r = show(diff, fd, entry->d_name, prefix, err);
    diff->depth--;
    return r;
}

int image_root_diff(
        struct image_store *store, const char *id, image_diff_fn fn, void *data, struct error *err)
{
    _cleanup_arena_ struct arena arena = {0};
    struct root_info info;
    struct diff diff = {.store = store, .info = &info, .fn = fn, .data = data};

    int r = root_load(store, id, &arena, &info, err);
    if (r < 0)
        return r;
    _cleanup_close_ int upper = root_open_upper(store, id, err);
    return upper < 0 ? upper : walk(&diff, upper, 0, err);
}
