#include "image/blobs.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/str.h"

#define CHUNK ((size_t)256 << 10)

void blob_path(const char *digest, char path[BLOB_PATH_SIZE])
{
    char *rest = stpcpy(path, "blobs/");

    digest_to_path(digest, rest);
}

void blob_partial_path(const char *digest, char path[BLOB_PATH_SIZE])
{
    const char *hex = strchr(digest, ':');

    snprintf(path, BLOB_PATH_SIZE, "partial/%s", hex ? hex + 1 : digest);
}

bool blob_present(struct image_store *store, const char *digest, int64_t size)
{
    char path[BLOB_PATH_SIZE];
    struct stat st;

    blob_path(digest, path);
    return fstatat(store->root_fd, path, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) &&
           (size < 0 || st.st_size == size);
}

/* What an interrupted download of it left is worth nothing any more. Those who keep leftovers look
 * for the blob behind their rename(2), as this comes behind that of the blob: one of the two sees
 * the other. */
static void drop_partial(struct image_store *store, const char *digest)
{
    char path[BLOB_PATH_SIZE];

    blob_partial_path(digest, path);
    unlinkat(store->root_fd, path, 0);
}

int blob_open(struct image_store *store, const char *digest, struct error *err)
{
    char path[BLOB_PATH_SIZE];

    blob_path(digest, path);
    int fd = openat(store->root_fd, path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd >= 0)
        return fd;
    if (errno == ENOENT)
        return error_set(err, ENOENT,
                "blob %s is missing from the store %s (viv system check --repair, then pull again)",
                digest, store->options.root);
    return error_sys(err, errno, "open %s/%s", store->options.root, path);
}

int blob_read(struct image_store *store, const char *digest, struct buf *text, struct error *err)
{
    char found[DIGEST_SIZE];

    _cleanup_close_ int fd = blob_open(store, digest, err);
    if (fd < 0)
        return fd;
    int r = io_read_fd(fd, text);
    if (r < 0)
        return error_sys(err, -r, "read blob %s", digest);
    if (str_starts(digest, "sha512:"))
        return digest_check_fd(fd, digest, err);
    digest_of(buf_text(text), text->length, found);
    if (str_equal(found, digest))
        return 0;
    return error_set(err, EBADMSG,
            "blob %s of the store %s is damaged (viv system check --repair, then pull again)",
            digest, store->options.root);
}

int blob_adopt(
        struct image_store *store, int fd, const char *path, const char *digest, struct error *err)
{
    char to[BLOB_PATH_SIZE];
    struct stat st;

    if (fstat(fd, &st) == 0 && blob_present(store, digest, st.st_size)) {
        unlinkat(store->root_fd, path, 0);
        return 0;
    }
    blob_path(digest, to);
    if (fsync(fd) < 0)
        return store_advise(store, error_sys(err, errno, "flush blob %s to the disk", digest), err);
    int r = store_place(store, path, to, err);
    if (r == 0)
        drop_partial(store, digest);
    return r;
}

int blob_place(struct image_store *store, const char *path, const char *digest, struct error *err)
{
    char to[BLOB_PATH_SIZE];

    blob_path(digest, to);
    if (renameat(store->root_fd, path, store->root_fd, to) < 0)
        return error_sys(err, errno, "rename %s to %s in %s", path, to, store->options.root);
    drop_partial(store, digest);
    return 0;
}

int blob_sync_folders(struct image_store *store, struct error *err)
{
    static const char *const folders[] = {"blobs/sha256", "blobs/sha512"};

    for (size_t i = 0; i < ARRAY_SIZE(folders); i++) {
        _cleanup_close_ int fd =
                openat(store->root_fd, folders[i], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0 || fsync(fd) < 0)
            return error_sys(err, errno, "fsync %s/%s", store->options.root, folders[i]);
    }
    return 0;
}

int blob_write(struct image_store *store, const void *data, size_t length, char digest[DIGEST_SIZE],
        struct error *err)
{
    const char *path;

    digest_of(data, length, digest);
    if (blob_present(store, digest, (int64_t)length))
        return 0;
    _cleanup_close_ int fd = store_make_file(store, &path, err);
    if (fd < 0)
        return fd;
    int r = io_write_all(fd, data, length);
    if (r < 0)
        r = store_advise(store, error_sys(err, -r, "write blob %s", digest), err);
    else
        r = blob_adopt(store, fd, path, digest, err);
    if (r < 0)
        unlinkat(store->root_fd, path, 0);
    return r;
}

static int copy_hashed(
        int from, int to, struct digest_state *state, uint64_t *size, struct error *err)
{
    _cleanup_free_ char *chunk = malloc(CHUNK);

    if (!chunk)
        return error_set(err, ENOMEM, "out of memory");
    for (;;) {
        ssize_t got = read(from, chunk, CHUNK);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return error_sys(err, errno, "read a blob");
        if (got == 0)
            return 0;
        digest_add(state, chunk, (size_t)got);
        *size += (uint64_t)got;
        int r = io_write_all(to, chunk, (size_t)got);
        if (r < 0)
            return error_sys(err, -r, "write a blob");
    }
}

int blob_spool(struct image_store *store, int fd, const char *expected, char digest[DIGEST_SIZE],
        uint64_t *ret_size, struct error *err)
{
    struct digest_state state;
    const char *path;
    uint64_t size = 0;

    _cleanup_close_ int out = store_make_file(store, &path, err);
    if (out < 0)
        return out;
    digest_start(&state, expected);
    int r = store_advise(store, copy_hashed(fd, out, &state, &size, err), err);
    if (r == 0) {
        digest_end(&state, digest);
        if (expected && !str_equal(digest, expected))
            r = error_set(err, EBADMSG,
                    "wrong digest: expected %s, the %llu bytes received have %s", expected,
                    (unsigned long long)size, digest);
    }
    if (r == 0)
        r = blob_adopt(store, out, path, digest, err);
    if (r < 0)
        unlinkat(store->root_fd, path, 0);
    else
        *ret_size = size;
    return r;
}
