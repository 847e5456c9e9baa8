#include "rootfs/copyup.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "sys/mount.h"

#define DEPTH_MAX 128
#define NAMES_MAX 4096
#define VALUE_MAX 65536

static int copy_data(int from, int to, off_t size)
{
    while (size > 0) {
        ssize_t put = sendfile(to, from, NULL, (size_t)size);
        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0)
            return put < 0 ? -errno : 0; /* it shrank meanwhile */
        size -= put;
    }
    return 0;
}

/* Those that the target does not take (security modules' own, trusted ones in a user namespace)
 * are left out, as cp -a does. */
static void copy_xattrs(int from, int to)
{
    char names[NAMES_MAX];
    _cleanup_free_ char *value = malloc(VALUE_MAX);
    ssize_t length = flistxattr(from, names, sizeof(names));

    for (const char *name = names; value && length > 0 && name < names + length;
            name += strlen(name) + 1) {
        ssize_t size = fgetxattr(from, name, value, VALUE_MAX);
        if (size >= 0)
            (void)fsetxattr(to, name, value, (size_t)size, 0);
    }
}

/* Owner, mode and times; the mode after the owner, which would clear set-uid bits. */
static int copy_facts(int to_dir, const char *name, const struct stat *st)
{
    const struct timespec times[2] = {st->st_atim, st->st_mtim};
    int r = sys_fchownat(to_dir, name, st->st_uid, st->st_gid, AT_SYMLINK_NOFOLLOW);

    if (r < 0)
        return r;
    if (!S_ISLNK(st->st_mode) && fchmodat(to_dir, name, st->st_mode & 07777, 0) < 0)
        return -errno;
    return utimensat(to_dir, name, times, AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
}

static int copy_file(int from_dir, int to_dir, const char *name, const struct stat *st)
{
    _cleanup_close_ int from = openat(from_dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (from < 0)
        return -errno;
    _cleanup_close_ int to =
            openat(to_dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (to < 0)
        return -errno;
    copy_xattrs(from, to);
    return copy_data(from, to, st->st_size);
}

static int copy_link(int from_dir, int to_dir, const char *name)
{
    char target[PATH_MAX];
    ssize_t length = readlinkat(from_dir, name, target, sizeof(target) - 1);

    if (length < 0)
        return -errno;
    target[length] = '\0';
    return sys_symlinkat(target, to_dir, name);
}

static int copy_entries(int from_dir, int to_dir, int depth, char *where, size_t size);

static int copy_directory(
        int from_dir, int to_dir, const char *name, int depth, char *where, size_t size)
{
    int r = sys_mkdirat(to_dir, name, 0700);
    if (r < 0)
        return r;
    _cleanup_close_ int from =
            openat(from_dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    _cleanup_close_ int to = openat(to_dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (from < 0 || to < 0)
        return -errno;
    copy_xattrs(from, to);
    return depth >= DEPTH_MAX ? -ELOOP : copy_entries(from, to, depth + 1, where, size);
}

static int copy_entry(
        int from_dir, int to_dir, const char *name, int depth, char *where, size_t size)
{
    struct stat st;
    int r;

    if (fstatat(from_dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return -errno;
    if (S_ISDIR(st.st_mode))
        r = copy_directory(from_dir, to_dir, name, depth, where, size);
    else if (S_ISLNK(st.st_mode))
        r = copy_link(from_dir, to_dir, name);
    else if (S_ISREG(st.st_mode))
        r = copy_file(from_dir, to_dir, name, &st);
    else
        r = sys_mknodat(to_dir, name, st.st_mode, st.st_rdev);
    return r < 0 ? r : copy_facts(to_dir, name, &st);
}

/* On failure `where` names the entry, innermost first written wins. */
static int copy_entries(int from_dir, int to_dir, int depth, char *where, size_t size)
{
    int copy = fcntl(from_dir, F_DUPFD_CLOEXEC, 0);
    _cleanup_closedir_ DIR *dir = copy < 0 ? NULL : fdopendir(copy);
    struct dirent *entry;

    if (!dir)
        return -errno;
    while ((entry = readdir(dir))) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        int r = copy_entry(from_dir, to_dir, entry->d_name, depth, where, size);
        if (r < 0 && !*where)
            snprintf(where, size, "%s", entry->d_name);
        if (r < 0)
            return r;
    }
    return 0;
}

int copyup(int from_dir, int to_dir, struct error *err)
{
    char where[NAME_MAX + 1] = "";
    struct stat st;
    _cleanup_close_ int from = openat(from_dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (from < 0)
        return error_sys(err, errno, "read the directory");
    _cleanup_close_ int to = openat(to_dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (to < 0 || fstat(from, &st) < 0)
        return error_sys(err, errno, "open the tmpfs");
    int r = copy_entries(from, to, 0, where, sizeof(where));
    if (r == 0)
        r = sys_fchownat(to, ".", st.st_uid, st.st_gid, 0);
    return r < 0 ? error_sys_hint(err, -r, r == -ENOSPC ? "the tmpfs' size= is too small" : NULL,
                           "copy \"%s\"", where)
                 : 0;
}
