#include "image/disk.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/identity.h"
#include "base/io.h"
#include "base/recordfile.h"

#define FOLDER "disks"
#define PATH_SIZE (DIGEST_SIZE + 32)

struct disk_info {
    const char *identity; /* of the file that was written, or read and found well */
    const char *digest;   /* of all of it */
    uint64_t checksum;    /* the maker's */
};

static const struct field info_fields[] = {
        FIELD_REQUIRED(struct disk_info, identity, FIELD_STR),
        FIELD_REQUIRED(struct disk_info, digest, FIELD_STR),
        FIELD_REQUIRED(struct disk_info, checksum, FIELD_U64),
};
static const struct record info_record = RECORD(struct disk_info, info_fields);

void disk_key(const struct strv *layers, char key[DIGEST_SIZE])
{
    struct digest_state state;
    const char *layer;

    digest_start(&state, NULL);
    strv_foreach (layer, layers) {
        digest_add(&state, layer, strlen(layer));
        digest_add(&state, "\n", 1);
    }
    digest_end(&state, key);
}

/* "disks/HEX" and `tail`, or another folder's. */
static void path_of(const char *folder, const char *key, const char *tail, char path[PATH_SIZE])
{
    const char *hex = strchr(key, ':');

    snprintf(path, PATH_SIZE, "%s/%s%s", folder, hex ? hex + 1 : key, tail);
}

/* ---- one that is there ----------------------------------------------------------------------- */

static int write_info(
        struct image_store *store, int folder, const struct disk_info *info, struct error *err)
{
    int r = recordfile_save(folder, "info", &info_record, info, RECORDFILE_DURABLE);

    if (r < 0)
        r = error_sys(err, -r, "write what is known of a disk in %s", store->options.root);
    return store_advise(store, r, err);
}

static int open_folder(struct image_store *store, const char *path, struct error *err)
{
    int fd = openat(store->root_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    return fd < 0 ? error_sys(err, errno, "open %s/%s", store->options.root, path) : fd;
}

/* A file that is another by now, as in a copied store, is read whole: once, for it is noted. */
static int verify(struct image_store *store, int folder, int fd, struct disk_info *info, bool whole,
        struct error *err)
{
    char identity[IDENTITY_SIZE];

    if (!identity_of(fd, identity))
        return error_sys(err, errno, "stat a disk");
    bool same = str_equal(identity, info->identity);
    if (same && !whole)
        return 0;
    if (!digest_valid(info->digest))
        return error_set(err, EBADMSG, "its digest is \"%s\"", info->digest);
    int r = digest_check_fd(fd, info->digest, err);
    if (r < 0 || same)
        return r;
    info->identity = identity;
    return write_info(store, folder, info, err);
}

/* `whole`: whatever it looks like, it is read. -ENOENT: there is none; -EBADMSG, -EINVAL: none that
 * can be used. */
static int open_disk(struct image_store *store, const char *key, bool whole, struct image_disk *ret,
        struct error *err)
{
    _cleanup_arena_ struct arena arena = {0};
    struct disk_info info;
    char path[PATH_SIZE];

    path_of(FOLDER, key, "", path);
    _cleanup_close_ int folder = open_folder(store, path, err);
    if (folder < 0)
        return folder;
    int r = recordfile_load(folder, "info", &info_record, &arena, &info, err);
    _cleanup_close_ int fd = r < 0 ? -1 : openat(folder, "disk", O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (r == 0 && fd < 0)
        r = error_sys(err, errno, "open %s/%s/disk", store->options.root, path);
    if (r == 0)
        r = verify(store, folder, fd, &info, whole, err);
    if (r < 0)
        return r;
    *ret = (struct image_disk){take_fd(&fd), info.checksum};
    return 0;
}

int disk_check(struct image_store *store, const char *key, struct error *err)
{
    struct image_disk disk;
    int r = open_disk(store, key, true, &disk, err);

    if (r < 0)
        return error_prefix(err, "disk %s", key);
    close(disk.fd);
    return 0;
}

int disk_list(struct image_store *store, struct arena *arena, struct strv *ret, struct error *err)
{
    int fd = open_folder(store, FOLDER, err);
    _cleanup_closedir_ DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    struct dirent *entry;

    *ret = (struct strv){0};
    if (!dir)
        return fd < 0 ? fd : error_sys(err, errno, "read %s/" FOLDER, store->options.root);
    while ((entry = readdir(dir)))
        if (entry->d_name[0] != '.')
            strv_add(arena, ret, entry->d_name);
    return 0;
}

/* ---- taking away ----------------------------------------------------------------------------- */

int disk_remove(struct image_store *store, const char *key, struct error *err)
{
    const char *aside = store_temporary(store);
    char path[PATH_SIZE];

    path_of(FOLDER, key, "", path);
    if (renameat(store->root_fd, path, store->root_fd, aside) < 0)
        return errno == ENOENT ? 0 : error_sys(err, errno, "remove disk %s", key);
    int r = io_remove_tree_at(store->root_fd, aside);
    return r < 0 ? error_sys(err, -r, "remove disk %s", key) : 0;
}

int disk_remove_all(struct image_store *store, struct error *err)
{
    _cleanup_arena_ struct arena arena = {0};
    struct strv keys;
    const char *key;

    int r = disk_list(store, &arena, &keys, err);
    if (r < 0)
        return r;
    strv_foreach (key, &keys) {
        r = disk_remove(store, key, err);
        if (r < 0)
            return r;
    }
    return 0;
}

/* ---- making ---------------------------------------------------------------------------------- */

static int digest_file(int fd, char digest[DIGEST_SIZE], struct error *err)
{
    struct digest_state state;
    unsigned char chunk[64 << 10];
    off_t at = 0;
    ssize_t got;

    digest_start(&state, NULL);
    while ((got = pread(fd, chunk, sizeof(chunk), at)) > 0) {
        digest_add(&state, chunk, (size_t)got);
        at += got;
    }
    digest_end(&state, digest);
    return got < 0 ? error_sys(err, errno, "read a disk") : 0;
}

/* A folder with the whole disk and what is known of it. */
static int fill(struct image_store *store, int folder, const struct image_disk_maker *maker,
        struct error *err)
{
    char digest[DIGEST_SIZE], identity[IDENTITY_SIZE];
    struct disk_info info = {.identity = identity, .digest = digest};
    _cleanup_close_ int fd = openat(folder, "disk", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

    if (fd < 0)
        return store_advise(
                store, error_sys(err, errno, "make a disk in %s", store->options.root), err);
    int r = maker->make(fd, &info.checksum, maker->data, err);
    if (r == 0)
        r = digest_file(fd, digest, err);
    if (r == 0 && (fsync(fd) < 0 || !identity_of(fd, identity)))
        r = error_sys(err, errno, "fsync a disk in %s", store->options.root);
    return r < 0 ? store_advise(store, r, err) : write_info(store, folder, &info, err);
}

static int make(struct image_store *store, const char *key, const struct image_disk_maker *maker,
        struct error *err)
{
    const char *temporary;
    char path[PATH_SIZE];
    int r = disk_remove(store, key, err); /* a damaged one */

    if (r == 0)
        r = store_make_folder(store, &temporary, err);
    if (r < 0)
        return r;
    _cleanup_close_ int folder = open_folder(store, temporary, err);
    r = folder < 0 ? folder : fill(store, folder, maker, err);
    path_of(FOLDER, key, "", path);
    if (r == 0)
        r = store_place(store, temporary, path, err);
    if (r < 0)
        io_remove_tree_at(store->root_fd, temporary);
    return r;
}

int disk_take(struct image_store *store, const struct strv *layers,
        const struct image_disk_maker *maker, struct image_disk *ret, struct error *err)
{
    struct error ignored = ERROR_NONE;
    char key[DIGEST_SIZE], path[PATH_SIZE];

    disk_key(layers, key);
    if (open_disk(store, key, false, ret, &ignored) == 0)
        return 0;
    path_of("locks", key, "", path);
    _cleanup_close_ int lock = store_lock(store, path, true, true, err);
    if (lock < 0)
        return lock;
    if (open_disk(store, key, false, ret, &ignored) == 0) /* made while we waited */
        return 0;
    int r = make(store, key, maker, err);
    return r < 0 ? r : open_disk(store, key, false, ret, err);
}
