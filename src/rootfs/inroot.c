#include "rootfs/inroot.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/path.h"
#include "base/str.h"
#include "sys/mount.h"

#define LINKS_MAX 40 /* as the kernel's MAXSYMLINKS */

static int open_existing(int root_fd, const char *path, uint64_t flags, enum inroot_follow follow)
{
    uint64_t resolve = RESOLVE_IN_ROOT;

    if (follow == INROOT_NO_SYMLINKS)
        resolve |= RESOLVE_NO_SYMLINKS;
    if (follow == INROOT_NO_LAST)
        flags |= O_NOFOLLOW;
    return sys_openat2(root_fd, path, O_PATH | flags, 0, resolve);
}

/* Makes one missing entry. 1: something dangling is in the way, whose target has to be made. */
static int make_entry(int dir_fd, const char *name, bool directory)
{
    int r = directory ? sys_mkdirat(dir_fd, name, 0755)
                      : sys_mknodat(dir_fd, name, S_IFREG | 0644, 0);

    return r == -EEXIST ? 1 : r;
}

/* Puts what the link at path[..start+length) points to in its place. */
static int splice_link(int dir_fd, const char *name, char path[PATH_MAX], size_t start, size_t end)
{
    char target[PATH_MAX], spliced[PATH_MAX];
    ssize_t length = readlinkat(dir_fd, name, target, sizeof(target) - 1);

    if (length < 0)
        return errno == EINVAL ? 0 : -errno; /* no link: another process made it meanwhile */
    target[length] = '\0';
    int printed = snprintf(spliced, sizeof(spliced), "%.*s%s%s", target[0] == '/' ? 0 : (int)start,
            path, target, path + end);
    if (printed >= PATH_MAX)
        return -ENAMETOOLONG;
    memcpy(path, spliced, (size_t)printed + 1);
    return 1;
}

/* Makes the first missing part of the path. 0: made or there; 1: the path was rewritten, since a
 * dangling link was met. */
static int make_part(int root_fd, char path[PATH_MAX], size_t start, size_t end, bool directory)
{
    char part[NAME_MAX + 1];
    char saved = path[start];

    if (end - start > NAME_MAX)
        return -ENAMETOOLONG;
    memcpy(part, path + start, end - start);
    part[end - start] = '\0';
    path[start] = '\0';
    _cleanup_close_ int dir =
            open_existing(root_fd, start ? path : ".", O_DIRECTORY, INROOT_FOLLOW);
    path[start] = saved;
    if (dir < 0)
        return dir;
    int r = make_entry(dir, part, directory);
    return r == 1 ? splice_link(dir, part, path, start, end) : r;
}

/* Walks the path, making what is missing; each part is looked up anew from the root. */
static int walk_missing(int root_fd, const char *wanted, bool directory)
{
    char path[PATH_MAX];
    int links = 0;
    size_t at = 0;

    if (strlen(wanted) >= sizeof(path))
        return -ENAMETOOLONG;
    memcpy(path, wanted, strlen(wanted) + 1);
    while (path[at += strspn(path + at, "/")]) {
        size_t end = at + strcspn(path + at, "/");
        bool last = path[end + strspn(path + end, "/")] == '\0';
        char saved = path[end];
        path[end] = '\0';
        _cleanup_close_ int fd = open_existing(root_fd, path, 0, INROOT_FOLLOW);
        path[end] = saved;
        int r = fd == -ENOENT ? make_part(root_fd, path, at, end, directory || !last) : fd;
        if (r < 0)
            return r;
        if (fd == -ENOENT && r == 1 && ++links > LINKS_MAX)
            return -ELOOP;
        at = fd == -ENOENT && r == 1 ? 0 : end;
    }
    return 0;
}

/* The length of the part of the path before its last name. */
static size_t parent_length(const char *path, size_t length)
{
    while (length && path[length - 1] != '/')
        length--;
    while (length > 1 && path[length - 1] == '/')
        length--;
    return length;
}

/* Makes path[..length) in its parent, and first the parent when that is missing too. 1: something
 * dangling is in the way, which takes a careful walk. */
static int make_in_parent(int root_fd, char path[PATH_MAX], size_t length, bool directory)
{
    char name[NAME_MAX + 1];
    size_t end = parent_length(path, length);
    size_t start = end + strspn(path + end, "/");

    if (length < start || length - start > NAME_MAX)
        return length < start ? 1 : -ENAMETOOLONG;
    memcpy(name, path + start, length - start);
    name[length - start] = '\0';
    char saved = path[end];
    path[end] = '\0';
    int dir = open_existing(root_fd, end ? path : ".", O_DIRECTORY, INROOT_FOLLOW);
    int r = dir == -ENOENT ? make_in_parent(root_fd, path, end, true) : 0;
    if (dir == -ENOENT && r == 0)
        dir = open_existing(root_fd, path, O_DIRECTORY, INROOT_FOLLOW);
    path[end] = saved;
    if (r == 0)
        r = dir < 0 ? dir : make_entry(dir, name, directory);
    cleanup_close(&dir);
    return r;
}

static int make_missing(int root_fd, const char *wanted, bool directory)
{
    char path[PATH_MAX];
    size_t length = strlen(wanted);

    if (length >= sizeof(path))
        return -ENAMETOOLONG;
    memcpy(path, wanted, length + 1);
    while (length > 1 && path[length - 1] == '/')
        path[--length] = '\0';
    int r = make_in_parent(root_fd, path, length, directory);
    return r == 1 ? walk_missing(root_fd, wanted, directory) : r;
}

static int fail(struct error *err, int errnum, const char *path, enum inroot_follow follow)
{
    const char *hint = NULL;

    if (errnum == ELOOP && follow == INROOT_NO_SYMLINKS)
        hint = "a symbolic link there could lead the mount elsewhere: make it a directory in "
               "the image";
    else if (errnum == EROFS)
        hint = "the root is read-only and the mount point is missing: make it in the image";
    else if (errnum == EACCES || errnum == EPERM || errnum == EOVERFLOW)
        hint = "its owner is nobody to the sandbox's root user: make what is missing beforehand, "
               "or map the owner's ids (an idmapped root; with viv, --userns host)";
    return error_sys_hint(err, errnum, hint, "open %s inside the root", path);
}

int inroot_make(int root_fd, const char *path, enum inroot_make make, enum inroot_follow follow,
        struct error *err)
{
    int r = make_missing(root_fd, path, make == INROOT_DIRECTORY);

    if (r < 0) {
        fail(err, -r, path, follow);
        error_prefix(err, "make what is missing");
        return r;
    }
    int fd = open_existing(root_fd, path, 0, follow);
    return fd < 0 ? fail(err, -fd, path, follow) : fd;
}

int inroot_open(int root_fd, const char *path, enum inroot_make make, enum inroot_follow follow,
        struct error *err)
{
    const char *name = *path ? path : "/";
    int fd = open_existing(root_fd, name, 0, follow);

    if (fd == -ENOENT && make != INROOT_MUST_EXIST)
        return inroot_make(root_fd, name, make, follow, err);
    return fd < 0 ? fail(err, -fd, path, follow) : fd;
}

int inroot_open_parent(int root_fd, const char *path, const char **ret_name, struct error *err)
{
    _cleanup_arena_ struct arena arena = {0};
    const char *name = path_base(path);

    if (!*name || str_equal(name, ".") || str_equal(name, ".."))
        return error_set(err, EINVAL, "%s is no name of a file", path);
    int fd = inroot_open(root_fd, path_dir(&arena, path), INROOT_DIRECTORY, INROOT_FOLLOW, err);
    if (fd >= 0)
        *ret_name = name;
    return fd;
}

void inroot_call(struct step_text *text, const char *path, enum inroot_follow follow)
{
    step_call(text,
            "openat2(<root>, %s, {flags=O_PATH%s|O_CLOEXEC, resolve=%sRESOLVE_IN_ROOT}, 24)",
            step_quote(text->arena, *path ? path : "/"),
            follow == INROOT_NO_LAST ? "|O_NOFOLLOW" : "",
            follow == INROOT_NO_SYMLINKS ? "RESOLVE_NO_SYMLINKS|" : "");
}

static void directory_call(struct step_text *text, const char *path)
{
    step_call(text,
            "openat2(<root>, %s, {flags=O_PATH|O_DIRECTORY|O_CLOEXEC, resolve=RESOLVE_IN_ROOT}, "
            "24)",
            step_quote(text->arena, path));
}

void inroot_make_calls(struct step_text *text, const char *path, enum inroot_make make,
        enum inroot_follow follow, size_t missing)
{
    struct strv parts = {0}; /* the path, its parent, that one's parent … */

    inroot_call(text, path, follow);
    if (!missing)
        return;
    strv_add(text->arena, &parts, path_clean(text->arena, path));
    for (size_t i = 0; i < missing; i++) {
        strv_add(text->arena, &parts, path_dir(text->arena, parts.words[i]));
        directory_call(text, parts.words[i + 1]);
    }
    for (size_t i = missing; i-- > 0;) {
        bool file = i == 0 && make == INROOT_FILE;
        const char *name = step_quote(text->arena, path_base(parts.words[i]));
        step_call(
                text, file ? "mknodat(<dir>, %s, S_IFREG|0644)" : "mkdirat(<dir>, %s, 0755)", name);
        if (i > 0)
            directory_call(text, parts.words[i]);
    }
    inroot_call(text, path, follow);
}
