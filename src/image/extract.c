/*
 * Entries of an archive into a folder that somebody uses, and who uses it may be hostile: while we
 * work, names can come to stand for something else. So a file that exists is never opened, each new
 * one is made where nothing is (O_EXCL) and is its descriptor from then on, and calls that take a
 * name follow no link.
 */
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/str.h"
#include "image/image.h"
#include "image/tarout.h"
#include "image/unpack.h"
#include "sys/mount.h"

#define TRIES 8 /* somebody else may make again what was taken away */

static mode_t mode_of(const struct unpack *u, const struct tar_entry *entry)
{
    return entry->mode & (u->options->owners_ignored ? 01777 : 07777);
}

/* Takes away what has the name; a folder only where that is wanted, with all that is in it. */
static int make_way(struct unpack *u, struct error *err)
{
    if (unlinkat(u->place.parent_fd, u->place.name, 0) == 0 || errno == ENOENT)
        return 0;
    int r = errno == EISDIR && u->options->overwrite
                    ? io_remove_tree_at(u->place.parent_fd, u->place.name)
                    : -errno;
    if (r == 0)
        return 0;
    if (r == -EISDIR)
        return error_set(
                err, EISDIR, "a folder of that name is there, which only a folder can replace");
    return error_sys_hint(err, -r,
            r == -EBUSY ? "something is mounted on it: write to it inside, with `viv exec`" : NULL,
            "replace what is there");
}

static int set_xattr(struct unpack *u, int fd, const char *name, const void *value, size_t size,
        struct error *err)
{
    bool capability = str_equal(name, "security.capability");

    if (!str_starts(name, "user.") && !capability)
        return 0;
    if (str_starts(name, "user.overlay.") || (capability && u->options->owners_ignored))
        return 0;
    if (fsetxattr(fd, name, value, size, 0) == 0 || errno == EOPNOTSUPP || errno == EPERM)
        return 0;
    return error_sys(err, errno, "set attribute %s", name);
}

static int set_xattrs(struct unpack *u, int fd, struct error *err)
{
    const char *name;
    const void *value;
    size_t size;
    int count = 0;
    int r = 0;

    while (r == 0 && tar_next_xattr(u->tar, &name, &value, &size)) {
        if (++count > TAR_XATTRS_MAX || size > TAR_XATTR_SIZE_MAX)
            return error_set(err, E2BIG, "too many attributes, or too large ones");
        r = set_xattr(u, fd, name, value, size, err);
    }
    return r;
}

/* The name "" with AT_EMPTY_PATH is the descriptor itself. */
static int set_owner(struct unpack *u, int fd, const char *name, const struct tar_entry *entry,
        struct error *err)
{
    if (u->options->owners_ignored)
        return 0;
    int r = sys_fchownat(
            fd, name, entry->uid, entry->gid, *name ? AT_SYMLINK_NOFOLLOW : AT_EMPTY_PATH);
    return r < 0 ? error_sys_hint(err, -r,
                           r == -EINVAL ? "the user namespace has no such id: leave --archive out"
                                        : NULL,
                           "give it to user %u, group %u", entry->uid, entry->gid)
                 : 0;
}

/* Owner first: chown(2) takes set-user-id bits and file capabilities away. */
static int set_all(struct unpack *u, int fd, const struct tar_entry *entry, struct error *err)
{
    int r = set_owner(u, fd, "", entry, err);

    if (r == 0 && fchmod(fd, mode_of(u, entry)) < 0)
        r = error_sys(err, errno, "set its mode");
    return r < 0 ? r : set_xattrs(u, fd, err);
}

/* What was there stays as it is; 1: it is gone, since it may be overwritten. A link is fine where
 * links are followed: what is to go in it then finds its way, or does not. */
static int accept_folder(struct unpack *u, struct error *err)
{
    bool inside = u->options->resolve & RESOLVE_IN_ROOT;
    struct stat st;

    if (fstatat(u->place.parent_fd, u->place.name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return error_sys(err, errno, "look at what is there");
    if (S_ISDIR(st.st_mode) || (S_ISLNK(st.st_mode) && inside))
        return 0;
    if (u->options->overwrite) {
        int r = make_way(u, err);
        return r < 0 ? r : 1;
    }
    return error_set(err, ENOTDIR, "what is there is no folder, and a folder cannot replace it");
}

static int copy_folder(struct unpack *u, const struct tar_entry *entry, struct error *err)
{
    if (!*u->place.name)
        return 0;
    int r = sys_mkdirat(u->place.parent_fd, u->place.name, 0700);
    for (int i = 0; i < TRIES && r == -EEXIST; i++) {
        int accepted = accept_folder(u, err);
        if (accepted <= 0)
            return accepted;
        r = sys_mkdirat(u->place.parent_fd, u->place.name, 0700);
    }
    if (r < 0)
        return error_sys(err, -r, "make the folder");
    u->result->entries++;
    _cleanup_close_ int fd = openat(
            u->place.parent_fd, u->place.name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return error_sys(err, errno, "open the folder");
    r = set_all(u, fd, entry, err);
    return r < 0 ? r : unpack_remember(u, &entry->mtime, NULL, err);
}

static int make_file(struct unpack *u, struct error *err)
{
    for (int i = 0; i < TRIES; i++) {
        int fd = openat(u->place.parent_fd, u->place.name,
                O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (fd >= 0)
            return fd;
        if (errno != EEXIST)
            return error_sys(err, errno, "make the file");
        int r = make_way(u, err);
        if (r < 0)
            return r;
    }
    return error_set(err, EEXIST, "somebody makes it again each time that it is replaced");
}

static int copy_file(struct unpack *u, const struct tar_entry *entry, struct error *err)
{
    struct timespec times[2] = {{.tv_nsec = UTIME_NOW}, entry->mtime};

    _cleanup_close_ int fd = make_file(u, err);
    if (fd < 0)
        return fd;
    u->result->entries++;
    int r = unpack_write(u, fd, entry, err);
    if (r == 0)
        r = set_all(u, fd, entry, err);
    if (r == 0 && futimens(fd, times) < 0)
        r = error_sys(err, errno, "set its time");
    return r;
}

/* A symbolic link, FIFO or hard link: a call that makes it where nothing is. */
typedef int (*make_fn)(struct unpack *u, const struct tar_entry *entry, const struct place *target);

static int make_special(struct unpack *u, const struct tar_entry *entry, const struct place *target)
{
    (void)target;
    return S_ISLNK(entry->mode)
                   ? sys_symlinkat(entry->symlink, u->place.parent_fd, u->place.name)
                   : sys_mknodat(u->place.parent_fd, u->place.name, S_IFIFO | mode_of(u, entry), 0);
}

static int make_hardlink(
        struct unpack *u, const struct tar_entry *entry, const struct place *target)
{
    (void)entry;
    return linkat(target->parent_fd, target->name, u->place.parent_fd, u->place.name, 0) < 0
                   ? -errno
                   : 0;
}

static int make_named(struct unpack *u, const struct tar_entry *entry, make_fn make,
        const struct place *target, struct error *err)
{
    for (int i = 0; i < TRIES; i++) {
        int r = make(u, entry, target);
        u->result->entries += r == 0;
        if (r != -EEXIST)
            return r < 0 ? error_sys(err, -r, "make it") : 0;
        r = make_way(u, err);
        if (r < 0)
            return r;
    }
    return error_set(err, EEXIST, "somebody makes it again each time that it is replaced");
}

static int copy_special(struct unpack *u, const struct tar_entry *entry, struct error *err)
{
    struct timespec times[2] = {{.tv_nsec = UTIME_NOW}, entry->mtime};
    int r = make_named(u, entry, make_special, NULL, err);

    if (r == 0)
        r = set_owner(u, u->place.parent_fd, u->place.name, entry, err);
    if (r == 0 && utimensat(u->place.parent_fd, u->place.name, times, AT_SYMLINK_NOFOLLOW) < 0)
        r = error_sys(err, errno, "set its time");
    return r;
}

static int copy_hardlink(struct unpack *u, const struct tar_entry *entry, struct error *err)
{
    struct place target;
    struct stat st;

    place_start(&target, u->place.root_fd, false);
    target.resolve = u->place.resolve;
    int r = place_find(&target, entry->hardlink, err);
    if (r == 0 && fstatat(target.parent_fd, target.name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        r = error_sys(err, errno, "find it");
    if (r < 0)
        error_prefix(err, "hard link to \"%s\"", entry->hardlink);
    /* its own name: it is there */
    if (r == 0 && !str_equal(target.clean, u->place.clean))
        r = make_named(u, entry, make_hardlink, &target, err);
    place_end(&target);
    return r;
}

static int copy_entry(struct unpack *u, const struct tar_entry *entry, struct error *err)
{
    int r = place_find(&u->place, entry->path, err);

    if (r < 0)
        return r;
    u->result->entries += u->place.made;
    u->place.made = 0;
    if (S_ISDIR(entry->mode) && !entry->hardlink)
        return copy_folder(u, entry, err);
    if (!*u->place.name)
        return error_set(err, EINVAL, "it has no name");
    if (entry->hardlink)
        return copy_hardlink(u, entry, err);
    if (S_ISREG(entry->mode))
        return copy_file(u, entry, err);
    if (S_ISLNK(entry->mode) || S_ISFIFO(entry->mode))
        return copy_special(u, entry, err);
    u->result->left_out++;
    return 0;
}

const struct unpack_ops unpack_copy = {copy_entry, unpack_finish, true};

/* ---- for engine/copy.c ----------------------------------------------------------------------- */

int image_copy_out(int node_fd, const char *as, int fd, struct error *err)
{
    _cleanup_tarout_ struct tarout *out = NULL;

    int r = tarout_open(fd, &out, err);
    if (r == 0)
        r = tarout_add_node(out, node_fd, as, err);
    return r < 0 ? r : tarout_finish(out, NULL, NULL, err);
}

int image_copy_in(int fd, int dir_fd, const struct image_copying *how, struct image_copied *ret,
        struct error *err)
{
    const struct layer_options options = {.owners_ignored = !how->owners,
            .overwrite = how->overwrite,
            .limit = UINT64_MAX,
            .resolve = how->inside ? RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS
                                   : RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS};
    struct layer_result result;

    int r = layer_copy(fd, dir_fd, &options, &result, err);
    if (r == 0)
        *ret = (struct image_copied){result.bytes, result.left_out};
    return r;
}
