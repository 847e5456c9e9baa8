#include "rootfs/treewalk.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "rootfs/inroot.h"
#include "sys/mount.h"

#define DEPTH_MAX 200 /* each level holds descriptors */
#define RESOLVE (RESOLVE_BENEATH | RESOLVE_NO_XDEV | RESOLVE_NO_MAGICLINKS)
#define RESOLVE_TEXT "RESOLVE_BENEATH|RESOLVE_NO_XDEV|RESOLVE_NO_MAGICLINKS"

/* A host whose programs have the labels, or owners, of a sandbox's files does not work any more;
 * the list is that of Podman and Docker, and what its links lead to where they are folders. */
static const char *const kept[] = {"/", "/bin", "/boot", "/dev", "/etc", "/etc/passwd", "/etc/pki",
        "/etc/shadow", "/home", "/lib", "/lib64", "/media", "/opt", "/proc", "/root", "/run",
        "/sbin", "/srv", "/sys", "/tmp", "/usr", "/usr/bin", "/usr/lib", "/usr/lib64", "/usr/sbin",
        "/var", "/var/lib", "/var/log"};

/* ---- the top --------------------------------------------------------------------------------- */

/* By what it is and not by its name: links and binds lead there by other names, and /bin is
 * /usr/bin on most hosts. */
static int check_place(int fd, const char *path, const char *keeps, struct error *err)
{
    struct stat top, place;

    if (fstat(fd, &top) < 0)
        return error_sys(err, errno, "find out what %s is", path);
    for (size_t i = 0; i < ARRAY_SIZE(kept); i++) {
        if (stat(kept[i], &place) < 0 || place.st_dev != top.st_dev || place.st_ino != top.st_ino)
            continue;
        bool same = str_equal(path, kept[i]);
        return error_set(err, EPERM,
                "%s%s%s%s %s, or this host would not work any more: share a folder below it, or "
                "leave the option out",
                path, same ? "" : " is ", same ? "" : kept[i], same ? "" : ", which", keeps);
    }
    return 0;
}

int treewalk_open(const struct treetop *top, const char *what, const char *keeps, struct error *err)
{
    _cleanup_close_ int fd = open(top->path, O_PATH | O_CLOEXEC | (top->nofollow ? O_NOFOLLOW : 0));

    if (fd < 0)
        return error_sys(err, errno, "open %s to %s it", top->path, what);
    if (top->part) {
        int part = inroot_open(fd, top->part, INROOT_MUST_EXIST, INROOT_FOLLOW, NULL);
        if (part < 0)
            return error_sys(err, -part, "open %s in %s to %s it", top->part, top->path, what);
        cleanup_close(&fd);
        fd = part;
    }
    int r = check_place(fd, top->path, keeps, err);
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
