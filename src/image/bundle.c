#include "image/bundle.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "image/worker.h"
#include "sys/mount.h"

#define CHUNK ((size_t)256 << 10)

int bundle_open_folder(struct image_store *store, const char *path, struct arena *arena,
        struct bundle *ret, struct error *err)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0)
        return error_sys(err, errno, "open the folder %s", path);
    *ret = (struct bundle){store, arena, fd, NULL, path};
    return 0;
}

int bundle_open_archive(struct image_store *store, int fd, const char *source, struct arena *arena,
        struct bundle *ret, struct error *err)
{
    struct worker worker;

    int r = worker_start_archive(store, fd, &worker, err);
    if (r == 0)
        r = worker_finish(store, &worker, err);
    if (r < 0)
        return error_prefix(err, "%s", source);
    int folder = openat(store->root_fd, arena_printf(arena, "%s/diff", worker.folder),
            O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    *ret = (struct bundle){store, arena, folder, worker.folder, source};
    if (folder >= 0)
        return 0;
    r = error_sys(err, errno, "open what %s was unpacked to", source);
    bundle_close(ret);
    return r;
}

void bundle_close(struct bundle *bundle)
{
    if (bundle->fd >= 0)
        close(bundle->fd);
    if (bundle->unpacked)
        io_remove_tree_at(bundle->store->root_fd, bundle->unpacked);
    bundle->fd = -1;
    bundle->unpacked = NULL;
}

static int open_inside(const struct bundle *bundle, const char *path)
{
    return sys_openat2(bundle->fd, path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0,
            RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS);
}

bool bundle_has(const struct bundle *bundle, const char *path)
{
    _cleanup_close_ int fd = open_inside(bundle, path);

    return fd >= 0;
}

int bundle_open_file(const struct bundle *bundle, const char *path, struct error *err)
{
    struct stat st;

    _cleanup_close_ int fd = open_inside(bundle, path);
    if (fd == -ENOENT)
        return error_set(err, ENOENT, "%s: \"%s\" is missing in it", bundle->source, path);
    if (fd < 0)
        return error_sys(err, -fd, "%s: open \"%s\" in it", bundle->source, path);
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
        return error_set(err, EINVAL, "%s: \"%s\" in it is not a file", bundle->source, path);
    return take_fd(&fd);
}

int bundle_read(const struct bundle *bundle, const char *path, struct buf *text, struct error *err)
{
    _cleanup_close_ int fd = bundle_open_file(bundle, path, err);

    if (fd < 0)
        return fd;
    text->max = MANIFEST_SIZE_MAX;
    int r = io_read_fd(fd, text);
    return r < 0 ? error_sys(err, -r, "%s: read \"%s\" in it", bundle->source, path) : 0;
}

int bundle_read_json(
        const struct bundle *bundle, const char *path, struct json_object **ret, struct error *err)
{
    _cleanup_buf_ struct buf text = {0};

    int r = bundle_read(bundle, path, &text, err);
    if (r == 0)
        r = json_parse(buf_text(&text), text.length, path, ret, err);
    return r < 0 ? error_prefix(err, "%s", bundle->source) : 0;
}

static int copy(int from, int to, struct error *err)
{
    _cleanup_free_ char *chunk = malloc(CHUNK);
    ssize_t got;

    if (!chunk)
        return error_set(err, ENOMEM, "out of memory");
    while ((got = read(from, chunk, CHUNK)) != 0) {
        if (got < 0 && errno == EINTR)
            continue;
        int r = got < 0 ? -errno : io_write_all(to, chunk, (size_t)got);
        if (r < 0)
            return error_sys(err, -r, "copy into the store");
    }
    return lseek(to, 0, SEEK_SET) < 0 ? error_sys(err, errno, "lseek") : 0;
}

int bundle_take(
        const struct bundle *bundle, const char *path, const char **ret_path, struct error *err)
{
    struct image_store *store = bundle->store;
    char self[64];

    _cleanup_close_ int fd = bundle_open_file(bundle, path, err);
    if (fd < 0)
        return fd;
    if (bundle->unpacked) {
        const char *name = store_temporary(store);
        snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
        if (linkat(AT_FDCWD, self, store->root_fd, name, AT_SYMLINK_FOLLOW) == 0) {
            *ret_path = name;
            return take_fd(&fd);
        }
    }
    _cleanup_close_ int own = store_make_file(store, ret_path, err);
    if (own < 0)
        return own;
    int r = store_advise(store, copy(fd, own, err), err);
    if (r < 0) {
        unlinkat(store->root_fd, *ret_path, 0);
        return r;
    }
    return take_fd(&own);
}
