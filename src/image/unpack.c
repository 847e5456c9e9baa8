#include "image/unpack.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/str.h"
#include "sys/mount.h"

#define WHITEOUT ".wh."
#define OPAQUE ".wh..wh..opq"

enum unpack_kind unpack_classify(const char *name)
{
    if (str_equal(name, OPAQUE))
        return UNPACK_OPAQUE;
    if (str_starts(name, WHITEOUT WHITEOUT) || str_equal(name, WHITEOUT))
        return UNPACK_IGNORED;
    return str_starts(name, WHITEOUT) ? UNPACK_WHITEOUT : UNPACK_PLAIN;
}

const char *unpack_opaque_name(const struct layer_options *options)
{
    return options->user_marks ? "user.overlay.opaque" : "trusted.overlay.opaque";
}

void unpack_free(struct unpack *unpack)
{
    for (size_t i = 0; i < unpack->folder_count; i++) {
        free(unpack->folders[i].path);
        free(unpack->folders[i].why);
    }
    free(unpack->folders);
    place_end(&unpack->place);
}

int unpack_remember(
        struct unpack *u, const struct timespec *mtime, const char *why, struct error *err)
{
    if (u->folder_count == u->folder_room) {
        size_t room = u->folder_room ? u->folder_room * 2 : 256;
        struct unpack_folder *grown = realloc(u->folders, room * sizeof(*grown));
        if (!grown)
            return error_set(err, ENOMEM, "out of memory");
        u->folders = grown;
        u->folder_room = room;
    }
    struct unpack_folder kept = {strdup(u->place.clean), why ? strdup(why) : NULL, *mtime};
    if (!kept.path || (why && !kept.why)) {
        free(kept.path);
        return error_set(err, ENOMEM, "out of memory");
    }
    u->folders[u->folder_count++] = kept;
    return 0;
}

static int set_opaque(struct unpack *u, int fd, struct error *err)
{
    if (fsetxattr(fd, unpack_opaque_name(u->options), "y", 1, 0) == 0)
        return 0;
    return error_sys(
            err, errno, "mark the folder as opaque (setxattr %s)", unpack_opaque_name(u->options));
}

static bool is_whiteout(const struct stat *st)
{
    return S_ISCHR(st->st_mode) && st->st_rdev == makedev(0, 0);
}

/* Makes room for an entry. `*ret_covered`: there was a whiteout, so that a folder which takes its
 * place must not let the lower one show through. */
static int clear_place(struct unpack *u, bool *ret_covered, struct error *err)
{
    struct stat st;

    if (fstatat(u->place.parent_fd, u->place.name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? 0 : error_sys(err, errno, "look at its place");
    if (ret_covered)
        *ret_covered = is_whiteout(&st);
    int r = io_remove_tree_at(u->place.parent_fd, u->place.name);
    u->result->entries--;
    return r < 0 ? error_sys(err, -r, "remove what an earlier entry put there") : 0;
}

static int open_folder(struct unpack *u, const char *name)
{
    int fd = openat(u->place.parent_fd, *name ? name : ".",
            O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    return fd < 0 ? -errno : fd;
}

static int make_opaque(struct unpack *u, struct error *err)
{
    _cleanup_close_ int fd = open_folder(u, "");

    if (fd < 0)
        return error_sys(err, -fd, "open the folder");
    return set_opaque(u, fd, err);
}

/* The name is hidden in the layers below; what this layer itself has by that name stays. */
static int make_whiteout(struct unpack *u, struct error *err)
{
    const char *name = u->place.name + strlen(WHITEOUT);

    if (str_equal(name, ".") || str_equal(name, ".."))
        return error_set(err, EINVAL, "a whiteout of \"%s\" makes no sense", name);
    int r = sys_mknodat(u->place.parent_fd, name, S_IFCHR, makedev(0, 0));
    if (r == 0)
        u->result->entries++;
    if (r != -EEXIST)
        return r < 0 ? error_sys(err, -r, "make a whiteout (mknod)") : 0;
    _cleanup_close_ int fd = open_folder(u, name);
    return fd < 0 ? 0 : set_opaque(u, fd, err);
}

static bool xattr_refused(const char *name)
{
    return str_starts(name, "trusted.") || str_starts(name, "user.overlay.");
}

/* What only this host could have meant. */
static bool xattr_ignored(const char *name)
{
    return str_equal(name, "security.selinux") || str_starts(name, "system.") ||
           str_equal(name, "security.ima") || str_equal(name, "security.evm");
}

static int set_xattr(struct unpack *u, const char *path, const char *name, const void *value,
        size_t size, struct error *err)
{
    if (size > TAR_XATTR_SIZE_MAX)
        return error_set(
                err, E2BIG, "attribute %s is larger than %zu bytes", name, TAR_XATTR_SIZE_MAX);
    if (lsetxattr(path, name, value, size, 0) == 0)
        return 0;
    if (errno == EOPNOTSUPP || (errno == EPERM && u->options->owners_ignored))
        return 0;
    return error_sys(err, errno, "set attribute %s", name);
}

/* Attributes have no call that takes a folder's descriptor and a name; /proc leads there. */
static int set_xattrs(struct unpack *u, struct error *err)
{
    char path[PLACE_MAX + 64];
    const char *name;
    const void *value;
    size_t size;
    int count = 0;

    snprintf(path, sizeof(path), "/proc/self/fd/%d/%s", u->place.parent_fd,
            *u->place.name ? u->place.name : ".");
    while (tar_next_xattr(u->tar, &name, &value, &size)) {
        if (xattr_refused(name))
            return error_set(err, EINVAL,
                    "attribute %s means something to overlayfs: an image may not set it", name);
        if (++count > TAR_XATTRS_MAX)
            return error_set(err, E2BIG, "more than %d attributes", TAR_XATTRS_MAX);
        if (xattr_ignored(name))
            continue;
        int r = set_xattr(u, path, name, value, size, err);
        if (r < 0)
            return r;
    }
    return 0;
}

static bool owner_differs(const struct unpack *u, const struct tar_entry *entry)
{
    return !u->options->owners_ignored && (entry->uid != geteuid() || entry->gid != getegid());
}

/* Owner first: chown(2) takes set-user-id bits and file capabilities away. */
static int set_owner_and_mode(
        struct unpack *u, const struct tar_entry *entry, bool mode_is_set, struct error *err)
{
    int at = u->place.parent_fd;
    const char *name = *u->place.name ? u->place.name : ".";
    bool chown_it = owner_differs(u, entry);
    mode_t mode = entry->mode & 07777;

    if (chown_it) {
        int r = sys_fchownat(at, name, entry->uid, entry->gid, AT_SYMLINK_NOFOLLOW);
        if (r < 0)
            return error_sys(err, -r, "give it to user %u, group %u%s", entry->uid, entry->gid,
                    r == -EINVAL || r == -EPERM ? " (is the user's range of ids too small?)" : "");
    }
    if (S_ISLNK(entry->mode) || (mode_is_set && !(mode & 07000)))
        return 0;
    return fchmodat(at, name, mode, 0) == 0 ? 0 : error_sys(err, errno, "set its mode");
}

static int set_time(struct unpack *u, const struct tar_entry *entry, struct error *err)
{
    struct timespec times[2] = {{.tv_nsec = UTIME_NOW}, entry->mtime};

    if (utimensat(u->place.parent_fd, u->place.name, times, AT_SYMLINK_NOFOLLOW) == 0)
        return 0;
    return error_sys(err, errno, "set its time");
}

static int make_folder(struct unpack *u, const struct tar_entry *entry, struct error *err)
{
    bool root = !*u->place.name;
    bool covered = false;
    struct stat st;
    int r = 0;

    if (!root && sys_mkdirat(u->place.parent_fd, u->place.name, entry->mode & 0777) < 0) {
        r = fstatat(u->place.parent_fd, u->place.name, &st, AT_SYMLINK_NOFOLLOW) < 0
                    ? error_sys(err, errno, "make the folder")
                    : 0;
        if (r == 0 && !S_ISDIR(st.st_mode)) {
            r = clear_place(u, &covered, err);
            int made =
                    r < 0 ? r : sys_mkdirat(u->place.parent_fd, u->place.name, entry->mode & 0777);
            if (r == 0 && made < 0)
                r = error_sys(err, -made, "make the folder");
            u->result->entries++;
        }
    } else if (!root) {
        u->result->entries++;
    }
    if (r < 0)
        return r;
    _cleanup_close_ int fd = open_folder(u, u->place.name);
    if (fd < 0)
        return error_sys(err, -fd, "open the folder");
    r = covered ? set_opaque(u, fd, err) : 0;
    if (r == 0)
        r = set_owner_and_mode(u, entry, false, err);
    if (r == 0)
        r = set_xattrs(u, err);
    return r < 0 ? r : unpack_remember(u, &entry->mtime, NULL, err);
}

int unpack_write(struct unpack *u, int fd, const struct tar_entry *entry, struct error *err)
{
    const void *block;
    size_t length;
    int64_t offset;
    int64_t end = 0;
    int r;

    while ((r = tar_read(u->tar, &block, &length, &offset, err)) > 0) {
        const char *at = block;
        while (length) {
            ssize_t put = pwrite(fd, at, length, offset);
            if (put < 0 && errno == EINTR)
                continue;
            if (put < 0)
                return error_sys(err, errno, "write");
            at += put;
            offset += put;
            length -= (size_t)put;
            u->result->bytes += (uint64_t)put;
        }
        end = offset > end ? offset : end;
    }
    if (r == 0 && end != entry->size && ftruncate(fd, entry->size) < 0)
        return error_sys(err, errno, "set the size to %lld bytes", (long long)entry->size);
    return r;
}

static int make_file(struct unpack *u, const struct tar_entry *entry, struct error *err)
{
    static const int flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
    mode_t mode = entry->mode & 0777;

    _cleanup_close_ int fd = openat(u->place.parent_fd, u->place.name, flags, mode);
    if (fd < 0 && errno == EEXIST) {
        int r = clear_place(u, NULL, err);
        if (r < 0)
            return r;
        fd = openat(u->place.parent_fd, u->place.name, flags, mode);
    }
    if (fd < 0)
        return error_sys(err, errno, "make the file");
    u->result->entries++;
    return unpack_write(u, fd, entry, err);
}

static int make_hardlink(struct unpack *u, const struct tar_entry *entry, struct error *err)
{
    struct place target;
    int r;

    place_start(&target, u->place.root_fd, false);
    r = place_find(&target, entry->hardlink, err);
    if (r < 0) {
        place_end(&target);
        return error_prefix(err, "hard link to \"%s\"", entry->hardlink);
    }
    r = linkat(target.parent_fd, target.name, u->place.parent_fd, u->place.name, 0);
    if (r < 0 && errno == EEXIST && !str_equal(target.clean, u->place.clean)) {
        r = clear_place(u, NULL, err);
        if (r == 0)
            r = linkat(target.parent_fd, target.name, u->place.parent_fd, u->place.name, 0);
    }
    int why = errno;
    place_end(&target);
    if (r < 0)
        return error_sys(err, why, "make a hard link to \"%s\" of the same layer", entry->hardlink);
    u->result->entries++;
    return 0;
}

static int make_special(struct unpack *u, const struct tar_entry *entry, struct error *err)
{
    bool device = S_ISCHR(entry->mode) || S_ISBLK(entry->mode);
    int r;

    if (S_ISCHR(entry->mode) && entry->device == makedev(0, 0))
        return error_set(err, EINVAL,
                "a character device 0:0 is overlayfs's mark of a deleted file: an image may not "
                "have one");
    if (device && u->options->owners_ignored)
        return 0;
    r = clear_place(u, NULL, err);
    if (r < 0)
        return r;
    r = S_ISLNK(entry->mode)
                ? sys_symlinkat(entry->symlink, u->place.parent_fd, u->place.name)
                : sys_mknodat(u->place.parent_fd, u->place.name, entry->mode, entry->device);
    if (r < 0)
        return error_sys(err, -r, S_ISLNK(entry->mode) ? "make the link" : "make the node (mknod)");
    u->result->entries++;
    return 1;
}

static int make_node(struct unpack *u, const struct tar_entry *entry, struct error *err)
{
    bool regular = S_ISREG(entry->mode);
    int r;

    if (entry->hardlink)
        return make_hardlink(u, entry, err);
    if (regular) {
        r = make_file(u, entry, err);
    } else if (S_ISLNK(entry->mode) || S_ISCHR(entry->mode) || S_ISBLK(entry->mode) ||
               S_ISFIFO(entry->mode)) {
        r = make_special(u, entry, err);
        if (r <= 0)
            return r;
        r = 0;
    } else {
        return error_set(err, EINVAL, "of a kind that layers do not have");
    }
    if (r == 0)
        r = set_owner_and_mode(u, entry, regular, err);
    if (r == 0)
        r = set_xattrs(u, err);
    return r < 0 ? r : set_time(u, entry, err);
}

static int make_entry(struct unpack *u, const struct tar_entry *entry, struct error *err)
{
    int r = place_find(&u->place, entry->path, err);
    if (r < 0)
        return r;
    u->result->entries += u->place.made;
    u->place.made = 0;
    switch (unpack_classify(u->place.name)) {
    case UNPACK_OPAQUE:
        return make_opaque(u, err);
    case UNPACK_WHITEOUT:
        return make_whiteout(u, err);
    case UNPACK_IGNORED:
        return 0;
    case UNPACK_PLAIN:
        break;
    }
    if (S_ISDIR(entry->mode))
        return make_folder(u, entry, err);
    if (!*u->place.name)
        return error_set(err, EINVAL, "the root of a layer must be a folder");
    return make_node(u, entry, err);
}

/* From the deepest up, so that setting one does not need another. */
int unpack_finish(struct unpack *u, struct error *err)
{
    for (size_t i = u->folder_count; i-- > 0;) {
        struct timespec times[2] = {{.tv_nsec = UTIME_NOW}, u->folders[i].mtime};
        struct error ignored = ERROR_NONE;
        if (place_find(&u->place, u->folders[i].path, &ignored) < 0)
            continue; /* a later entry replaced a folder above it */
        if (utimensat(u->place.parent_fd, *u->place.name ? u->place.name : ".", times,
                    AT_SYMLINK_NOFOLLOW) < 0 &&
                errno != ENOENT)
            return error_sys(err, errno, "set the time of \"%s\"", u->folders[i].path);
    }
    return 0;
}

const struct unpack_ops unpack_make = {make_entry, unpack_finish, true};
