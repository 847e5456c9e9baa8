#include "image/store.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/path.h"

#define DEFAULT_ROOT "/var/lib/viv/images"

static const struct {
    const char *name;
    mode_t mode;
} folders[] = {{"blobs", 0700}, {"blobs/sha256", 0700}, {"blobs/sha512", 0700}, {"layers", 0711},
        {"disks", 0700}, {"roots", 0711}, {"fetch", 0711}, {"partial", 0700}, {"tmp", 0700},
        {"locks", 0700}};

static struct image_options copy_options(const struct image_options *from, struct arena *arena)
{
    struct image_options to = from ? *from : (struct image_options){0};

    to.root = arena_strdup(arena, to.root ? to.root : DEFAULT_ROOT);
    to.fetch_program = arena_strdup(arena, to.fetch_program);
    to.registries_conf = arena_strdup(arena, to.registries_conf);
    to.auth_file = arena_strdup(arena, to.auth_file);
    to.certs_dir = arena_strdup(arena, to.certs_dir);
    return to;
}

static int make_folders(struct image_store *store, struct error *err)
{
    /* looked for first: to make one that is there takes the same locks as to make one, and many
     * come here at once */
    for (size_t i = 0; i < ARRAY_SIZE(folders); i++)
        if (faccessat(store->root_fd, folders[i].name, F_OK, AT_SYMLINK_NOFOLLOW) < 0 &&
                mkdirat(store->root_fd, folders[i].name, folders[i].mode) < 0 && errno != EEXIST)
            return error_sys(
                    err, errno, "make the folder %s/%s", store->options.root, folders[i].name);
    return 0;
}

static int open_root(struct image_store *store, struct error *err)
{
    const char *root = store->options.root;
    int r = io_make_dirs_at(AT_FDCWD, root, 0711);

    if (r < 0)
        return error_sys(err, -r, "make the store of images %s", root);
    store->root_fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (store->root_fd < 0)
        return error_sys(err, errno, "open the store of images %s", root);
    return make_folders(store, err);
}

int image_open(const struct image_options *options, struct image_store **ret, struct error *err)
{
    _cleanup_image_ struct image_store *store = calloc(1, sizeof(*store));

    if (!store)
        return error_set(err, ENOMEM, "out of memory");
    store->root_fd = -1;
    store->use_fd = -1;
    store->options = copy_options(options, &store->arena);
    store->user_marks = geteuid() != 0;
    io_read_small_at(AT_FDCWD, "/proc/sys/kernel/random/boot_id", store->boot, sizeof(store->boot));
    int r = open_root(store, err);
    if (r == 0)
        *ret = take_ptr(store);
    return r;
}

void image_close(struct image_store *store)
{
    if (!store)
        return;
    if (store->root_fd >= 0)
        close(store->root_fd);
    if (store->use_fd >= 0)
        close(store->use_fd);
    arena_free(&store->arena);
    free(store);
}

int store_lock(
        struct image_store *store, const char *name, bool exclusive, bool wait, struct error *err)
{
    _cleanup_close_ int fd = openat(store->root_fd, name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    int operation = (exclusive ? LOCK_EX : LOCK_SH) | (wait ? 0 : LOCK_NB);

    if (fd < 0)
        return error_sys(err, errno, "open the lock %s/%s", store->options.root, name);
    while (flock(fd, operation) < 0) {
        if (errno == EWOULDBLOCK)
            return error_set(err, EWOULDBLOCK, "another process is using the store of images");
        if (errno != EINTR)
            return error_sys(err, errno, "lock %s/%s", store->options.root, name);
    }
    return take_fd(&fd);
}

int store_use(struct image_store *store, struct error *err)
{
    if (store->use_count == 0) {
        int fd = store_lock(store, "use", false, true, err);
        if (fd < 0)
            return fd;
        store->use_fd = fd;
    }
    store->use_count++;
    return 0;
}

void store_release(struct image_store *store)
{
    if (--store->use_count > 0)
        return;
    close(store->use_fd);
    store->use_fd = -1;
}

const char *store_temporary(struct image_store *store)
{
    static unsigned counter;

    return arena_printf(&store->arena, "tmp/%d.%u", getpid(), counter++);
}

int store_make_folder(struct image_store *store, const char **ret_path, struct error *err)
{
    for (;;) {
        const char *path = store_temporary(store);
        if (mkdirat(store->root_fd, path, 0700) == 0) {
            *ret_path = path;
            return 0;
        }
        if (errno != EEXIST)
            return store_advise(
                    store, error_sys(err, errno, "make %s/%s", store->options.root, path), err);
    }
}

int store_make_file(struct image_store *store, const char **ret_path, struct error *err)
{
    for (;;) {
        const char *path = store_temporary(store);
        int fd = openat(store->root_fd, path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (fd >= 0) {
            *ret_path = path;
            return fd;
        }
        if (errno != EEXIST)
            return store_advise(
                    store, error_sys(err, errno, "make %s/%s", store->options.root, path), err);
    }
}

int store_place(struct image_store *store, const char *from, const char *to, struct error *err)
{
    _cleanup_arena_ struct arena arena = {0};

    if (renameat(store->root_fd, from, store->root_fd, to) < 0)
        return error_sys(err, errno, "rename %s to %s in %s", from, to, store->options.root);
    _cleanup_close_ int fd =
            openat(store->root_fd, path_dir(&arena, to), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fsync(fd) < 0)
        return error_sys(err, errno, "fsync the folder of %s/%s", store->options.root, to);
    return 0;
}

char *store_path(const struct image_store *store, const char *path, struct arena *arena)
{
    return path_join(arena, store->options.root, path);
}

int store_advise(const struct image_store *store, int r, struct error *err)
{
    if (r == -ENOSPC || r == -EDQUOT)
        error_append(err,
                "; the file system of %s is full: make room there or remove images (viv system "
                "prune), then try again; nothing half-done was kept",
                store->options.root);
    return r;
}

const struct registries *store_registries(struct image_store *store, struct error *err)
{
    if (!store->registries_loaded && registries_load(store->options.registries_conf, &store->arena,
                                             &store->registries, err) < 0)
        return NULL;
    store->registries_loaded = true;
    return &store->registries;
}
