#include "image/compare.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/str.h"

#define CHUNK ((size_t)64 << 10)

static int differs(struct error *err, const char *what)
{
    return error_set(err, EBADMSG, "%s differs from the layer's archive", what);
}

static int look(struct unpack *u, const char *name, struct stat *ret, struct error *err)
{
    if (fstatat(u->place.parent_fd, *name ? name : ".", ret, AT_SYMLINK_NOFOLLOW) == 0)
        return 0;
    return errno == ENOENT ? error_set(err, EBADMSG, "it is missing")
                           : error_sys(err, errno, "stat");
}

/* Holes are left out of the archive's blocks: what is between them must read as zeros. */
static int compare_zeros(int fd, int64_t from, int64_t to, char *chunk, struct error *err)
{
    while (from < to) {
        size_t want = to - from < (int64_t)CHUNK ? (size_t)(to - from) : CHUNK;
        off_t data = lseek(fd, from, SEEK_DATA);
        if (data < 0 && errno == ENXIO)
            return 0;
        if (data > from) {
            from = data;
            continue;
        }
        ssize_t got = pread(fd, chunk, want, from);
        if (got < 0)
            return error_sys(err, errno, "read");
        if (got == 0 || chunk[0] || memcmp(chunk, chunk + 1, (size_t)got - 1) != 0)
            return differs(err, "its content");
        from += got;
    }
    return 0;
}

static int compare_block(
        int fd, const char *block, size_t length, int64_t offset, char *chunk, struct error *err)
{
    while (length) {
        ssize_t got = pread(fd, chunk, length < CHUNK ? length : CHUNK, offset);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return error_sys(err, errno, "read");
        if (got == 0 || memcmp(chunk, block, (size_t)got) != 0)
            return differs(err, "its content");
        block += got;
        offset += got;
        length -= (size_t)got;
    }
    return 0;
}

static int compare_content(struct unpack *u, const struct tar_entry *entry, struct error *err)
{
    _cleanup_free_ char *chunk = malloc(CHUNK);
    const void *block;
    size_t length;
    int64_t offset;
    int64_t end = 0;
    int r;

    _cleanup_close_ int fd = openat(
            u->place.parent_fd, u->place.name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return error_sys(err, errno, "open");
    if (!chunk)
        return error_set(err, ENOMEM, "out of memory");
    while ((r = tar_read(u->tar, &block, &length, &offset, err)) > 0) {
        r = compare_zeros(fd, end, offset, chunk, err);
        if (r == 0)
            r = compare_block(fd, block, length, offset, chunk, err);
        if (r < 0)
            return r;
        end = offset + (int64_t)length;
        u->result->bytes += length;
    }
    return r < 0 ? r : compare_zeros(fd, end, entry->size, chunk, err);
}

static int compare_hardlink(
        struct unpack *u, const struct tar_entry *entry, const struct stat *st, struct error *err)
{
    struct place target;
    struct stat other;

    place_start(&target, u->place.root_fd, false);
    int r = place_find(&target, entry->hardlink, err);
    if (r == 0 && fstatat(target.parent_fd, target.name, &other, AT_SYMLINK_NOFOLLOW) < 0)
        r = differs(err, "the target of the hard link");
    if (r == 0 && (other.st_ino != st->st_ino || other.st_dev != st->st_dev))
        r = differs(err, "the target of the hard link");
    place_end(&target);
    return r;
}

static int compare_link(struct unpack *u, const struct tar_entry *entry, struct error *err)
{
    char target[PLACE_MAX];

    ssize_t length = readlinkat(u->place.parent_fd, u->place.name, target, sizeof(target) - 1);
    if (length < 0)
        return error_sys(err, errno, "readlink");
    target[length] = '\0';
    return str_equal(target, entry->symlink) ? 0 : differs(err, "where the link leads");
}

static int compare_inode(
        struct unpack *u, const struct tar_entry *entry, const struct stat *st, struct error *err)
{
    if ((st->st_mode & S_IFMT) != (entry->mode & S_IFMT))
        return differs(err, "its kind");
    if (!S_ISLNK(entry->mode) && (st->st_mode & 07777) != (entry->mode & 07777))
        return differs(err, "its mode");
    if (!u->options->owners_ignored && (st->st_uid != entry->uid || st->st_gid != entry->gid))
        return differs(err, "its owner");
    if ((S_ISCHR(entry->mode) || S_ISBLK(entry->mode)) && st->st_rdev != entry->device)
        return differs(err, "its device number");
    if (S_ISREG(entry->mode) && st->st_size != entry->size)
        return differs(err, "its size");
    if (st->st_mtim.tv_sec != entry->mtime.tv_sec)
        return differs(err, "its time");
    return 0;
}

static int compare_plain(struct unpack *u, const struct tar_entry *entry, struct error *err)
{
    struct stat st;

    bool device = S_ISCHR(entry->mode) || S_ISBLK(entry->mode);
    if (device && u->options->owners_ignored)
        return 0;
    int r = look(u, u->place.name, &st, err);
    if (r < 0)
        return r;
    if (entry->hardlink)
        return compare_hardlink(u, entry, &st, err);
    r = compare_inode(u, entry, &st, err);
    if (r == 0 && S_ISLNK(entry->mode))
        r = compare_link(u, entry, err);
    if (r == 0 && S_ISREG(entry->mode))
        r = compare_content(u, entry, err);
    return r;
}

/* An archive may have a name twice, and then the last one counts: a difference is kept until the
 * end, and dropped when the same name comes again. */
static void forget_difference(struct unpack *u)
{
    for (size_t i = 0; i < u->folder_count; i++)
        if (str_equal(u->folders[i].path, u->place.clean)) {
            free(u->folders[i].path);
            free(u->folders[i].why);
            u->folders[i] = u->folders[--u->folder_count];
            return;
        }
}

static int compare_entry(struct unpack *u, const struct tar_entry *entry, struct error *err)
{
    struct error found = ERROR_NONE;
    struct stat st;

    int r = place_find(&u->place, entry->path, &found);
    enum unpack_kind kind = r < 0 ? UNPACK_PLAIN : unpack_classify(u->place.name);
    if (r == 0 && kind == UNPACK_WHITEOUT)
        r = look(u, u->place.name + strlen(".wh."), &st, &found);
    else if (r == 0 && kind == UNPACK_PLAIN)
        r = compare_plain(u, entry, &found);
    forget_difference(u);
    if (r >= 0)
        return 0;
    if (r == -EBADMSG || r == -ENOENT || r == -ENOTDIR)
        return unpack_remember(u, &entry->mtime, found.text, err);
    if (err)
        *err = found;
    return r;
}

static int compare_finish(struct unpack *u, struct error *err)
{
    if (u->folder_count == 0)
        return 0;
    return error_set(err, EBADMSG, "\"%s\": %s", u->folders[0].path, u->folders[0].why);
}

const struct unpack_ops unpack_compare = {compare_entry, compare_finish, false};
