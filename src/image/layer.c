#include "image/layer.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/str.h"
#include "image/codec.h"
#include "image/compare.h"
#include "image/place.h"
#include "image/tar.h"
#include "image/unpack.h"
#include "sys/mount.h"

/* What a layer may unpack to when nobody says: a bomb has a thousand times its size, and what
 * people keep in images has seldom ten times. */
#define BOMB_FLOOR ((uint64_t)256 << 20)
#define BOMB_RATIO 200u

static uint64_t output_limit(int fd, const struct layer_options *options)
{
    struct stat st;

    if (options->limit)
        return options->limit;
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
        return BOMB_FLOOR * BOMB_RATIO;
    return BOMB_FLOOR + (uint64_t)st.st_size * BOMB_RATIO;
}

static int walk(struct tar_reader *tar, const struct unpack_ops *ops, struct unpack *unpack,
        struct error *err)
{
    struct tar_entry entry;
    uint64_t count = 0;
    int r;

    while ((r = tar_next(tar, &entry, err)) > 0) {
        if (++count > LAYER_ENTRIES_MAX)
            return error_set(err, E2BIG, "more than %u entries", LAYER_ENTRIES_MAX);
        r = ops->entry(unpack, &entry, err);
        if (r < 0)
            return error_prefix(err, "entry \"%s\"", entry.path);
    }
    return r < 0 ? r : ops->finish(unpack, err);
}

static int run(int fd, int root_fd, const struct unpack_ops *ops,
        const struct layer_options *options, struct layer_result *ret, struct error *err)
{
    _cleanup_codec_ struct codec_reader *codec = NULL;
    _cleanup_tar_ struct tar_reader *tar = NULL;
    struct unpack unpack = {.options = options};
    struct layer_result result = {0};

    int r = codec_open(fd, output_limit(fd, options), &codec, err);
    if (r == 0)
        r = tar_open(codec, &tar, err);
    if (r < 0)
        return r;
    unpack.tar = tar;
    unpack.result = &result;
    place_start(&unpack.place, root_fd, ops->makes);
    if (options->resolve)
        unpack.place.resolve = options->resolve;
    mode_t mask = umask(0);
    r = walk(tar, ops, &unpack, err);
    umask(mask);
    unpack_free(&unpack);
    if (r == 0)
        r = codec_finish(codec, result.diff_id, &result.tar_bytes, err);
    if (r == 0)
        *ret = result;
    return r;
}

int layer_unpack(int fd, int root_fd, const struct layer_options *options, struct layer_result *ret,
        struct error *err)
{
    return run(fd, root_fd, &unpack_make, options, ret, err);
}

int layer_copy(int fd, int root_fd, const struct layer_options *options, struct layer_result *ret,
        struct error *err)
{
    return run(fd, root_fd, &unpack_copy, options, ret, err);
}

int layer_compare(int fd, int root_fd, const struct layer_options *options,
        struct layer_result *ret, struct error *err)
{
    return run(fd, root_fd, &unpack_compare, options, ret, err);
}

int64_t layer_count(int root_fd)
{
    int fd = openat(root_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct dirent *entry;
    int64_t count = 0;

    if (fd < 0)
        return -errno;
    _cleanup_closedir_ DIR *dir = fdopendir(fd);
    if (!dir) {
        close(fd);
        return -ENOMEM;
    }
    while ((entry = readdir(dir))) {
        if (str_equal(entry->d_name, ".") || str_equal(entry->d_name, ".."))
            continue;
        count++;
        if (entry->d_type != DT_DIR)
            continue;
        _cleanup_close_ int below =
                openat(fd, entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        int64_t inside = below < 0 ? -errno : layer_count(below);
        if (inside < 0)
            return inside;
        count += inside;
    }
    return count;
}
