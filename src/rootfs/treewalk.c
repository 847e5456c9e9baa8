#include "rootfs/treewalk.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/str.h"
#include "rootfs/elsewhere.h"
#include "rootfs/inroot.h"
#include "sys/mount.h"

#define DEPTH_MAX 200 /* each level holds descriptors */
#define RESOLVE (RESOLVE_BENEATH | RESOLVE_NO_XDEV | RESOLVE_NO_MAGICLINKS)
#define RESOLVE_TEXT "RESOLVE_BENEATH|RESOLVE_NO_XDEV|RESOLVE_NO_MAGICLINKS"

/* A host whose programs have the labels, or owners, of a sandbox's files does not work any more;
 * the list is that of Podman and Docker, and what its links lead to where they are folders. The
 * caller's home is another: sshd and others want to see it in its place. */
static const char *const kept[] = {"/", "/bin", "/boot", "/dev", "/etc", "/etc/passwd", "/etc/pki",
        "/etc/shadow", "/home", "/lib", "/lib64", "/media", "/opt", "/proc", "/root", "/run",
        "/sbin", "/srv", "/sys", "/tmp", "/usr", "/usr/bin", "/usr/lib", "/usr/lib64", "/usr/sbin",
        "/var", "/var/lib", "/var/log"};

/* ---- the top --------------------------------------------------------------------------------- */

/* By what it is and not by its name: links and binds lead there by other names, and /bin is
 * /usr/bin on most hosts. */
static bool is_place(const struct stat *top, const char *place)
{
    struct stat st;

    return stat(place, &st) == 0 && st.st_dev == top->st_dev && st.st_ino == top->st_ino;
}

static int refuse(const char *path, const char *place, const char *keeps, struct error *err)
{
    bool same = str_equal(path, place);

    return error_set(err, EPERM,
            "%s%s%s%s %s, or this host would not work any more: share a folder below it, or leave "
            "the option out",
            path, same ? "" : " is ", same ? "" : place, same ? "" : ", which", keeps);
}

static int check_place(int fd, const char *path, const char *keeps, struct error *err)
{
    const char *home = getenv("HOME");
    struct stat top;

    if (fstat(fd, &top) < 0)
        return error_sys(err, errno, "find out what %s is", path);
    for (size_t i = 0; i < ARRAY_SIZE(kept); i++)
        if (is_place(&top, kept[i]))
            return refuse(path, kept[i], keeps, err);
    return home && is_place(&top, home) ? refuse(path, home, keeps, err) : 0;
}

/* Then a link below may be to a file of elsewhere that whoever made it may not even read. Counting
 * a file's links would not do: they can go and come back meanwhile. */
static int check_links(struct error *err)
{
    char text[8];

    if (io_read_small_at(AT_FDCWD, "/proc/sys/fs/protected_hardlinks", text, sizeof(text)) < 0 ||
            text[0] != '0')
        return 0;
    return error_set(err, EPERM,
            "with fs.protected_hardlinks=0 everybody may link to any file, so that files of "
            "elsewhere could be changed: sysctl fs.protected_hardlinks=1, or leave the option out");
}

static int open_top(const struct treetop *top)
{
    if (elsewhere_is(top->path))
        return elsewhere_open(top->path);
    int fd = open(top->path, O_PATH | O_CLOEXEC | (top->nofollow ? O_NOFOLLOW : 0));
    return fd < 0 ? -errno : fd;
}

int treewalk_open(const struct treetop *top, const char *what, const char *keeps, struct error *err)
{
    _cleanup_close_ int fd = open_top(top);

    if (fd < 0)
        return error_sys(err, -fd, "open %s to %s it", top->path, what);
    if (top->part) {
        int part = inroot_open(fd, top->part, INROOT_MUST_EXIST, INROOT_FOLLOW, NULL);
        if (part < 0)
            return error_sys(err, -part, "open %s in %s to %s it", top->part, top->path, what);
        cleanup_close(&fd);
        fd = part;
    }
    int r = check_place(fd, top->path, keeps, err);
    if (r == 0)
        r = check_links(err);
    return r < 0 ? r : take_fd(&fd);
}

/* ---- what is below --------------------------------------------------------------------------- */

struct walk {
    treewalk_fn visit;
    void *data;
    char *where;
};

static int walk_folder(const struct walk *walk, int fd, int depth);

static int walk_file(const struct walk *walk, int fd, int depth)
{
    struct stat st;

    if (fstat(fd, &st) < 0)
        return -errno;
    int r = walk->visit(fd, &st, walk->data);
    if (r < 0 || !S_ISDIR(st.st_mode))
        return r;
    return depth >= DEPTH_MAX ? -ELOOP : walk_folder(walk, fd, depth + 1);
}

static int walk_folder(const struct walk *walk, int fd, int depth)
{
    int list = sys_openat2(fd, ".", O_RDONLY | O_DIRECTORY, 0, RESOLVE);
    _cleanup_closedir_ DIR *dir = list < 0 ? NULL : fdopendir(list);
    struct dirent *entry;

    if (!dir)
        return list < 0 ? list : -errno;
    while ((entry = readdir(dir))) {
        if (str_equal(entry->d_name, ".") || str_equal(entry->d_name, ".."))
            continue;
        _cleanup_close_ int one = sys_openat2(fd, entry->d_name, O_PATH | O_NOFOLLOW, 0, RESOLVE);
        if (one == -ENOENT || one == -EXDEV)
            continue; /* it went meanwhile, or something is mounted there */
        int r = one < 0 ? one : walk_file(walk, one, depth);
        if (r < 0 && !*walk->where)
            snprintf(walk->where, NAME_MAX + 1, "%s", entry->d_name);
        if (r < 0)
            return r;
    }
    return 0;
}

int treewalk(int top_fd, treewalk_fn visit, void *data, char where[NAME_MAX + 1])
{
    const struct walk walk = {visit, data, where};

    *where = '\0';
    return walk_file(&walk, top_fd, 0);
}

void treewalk_calls(struct step_text *text, const struct treetop *top)
{
    step_call(text, "openat(AT_FDCWD, %s, O_RDONLY|O_CLOEXEC|O_PATH%s)",
            step_quote(text->arena, top->path), top->nofollow ? "|O_NOFOLLOW" : "");
    if (top->part)
        inroot_call(text, top->part, INROOT_FOLLOW);
    step_call(text,
            "openat2(<folder>, <each>, {flags=O_NOFOLLOW|O_CLOEXEC|O_PATH, resolve=%s}, 24)",
            RESOLVE_TEXT);
}
