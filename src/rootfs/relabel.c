#include "rootfs/relabel.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "plan/run.h"
#include "rootfs/inroot.h"
#include "sys/mount.h"

#define DEPTH_MAX 200 /* each level holds descriptors */
#define RESOLVE (RESOLVE_BENEATH | RESOLVE_NO_XDEV | RESOLVE_NO_MAGICLINKS)
#define RESOLVE_TEXT "RESOLVE_BENEATH|RESOLVE_NO_XDEV|RESOLVE_NO_MAGICLINKS"

/* A host whose programs have the labels of a sandbox's files does not work any more; the list is
 * that of Podman and Docker. */
static const char *const kept[] = {"/", "/bin", "/boot", "/dev", "/etc", "/etc/passwd", "/etc/pki",
        "/etc/shadow", "/home", "/lib", "/lib64", "/media", "/opt", "/proc", "/root", "/run",
        "/sbin", "/srv", "/sys", "/tmp", "/usr", "/var", "/var/lib", "/var/log"};

/* Where the walk failed, the innermost name that is known. */
struct walk {
    const char *label;
    char where[NAME_MAX + 1];
};

static int walk_folder(struct walk *walk, int fd, int depth);

static int walk_file(struct walk *walk, int fd, int depth)
{
    struct stat st;
    int r = sys_set_label(fd, walk->label);

    if (r == 0 && fstat(fd, &st) < 0)
        r = -errno;
    if (r < 0 || !S_ISDIR(st.st_mode))
        return r;
    return depth >= DEPTH_MAX ? -ELOOP : walk_folder(walk, fd, depth + 1);
}

static int walk_folder(struct walk *walk, int fd, int depth)
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
            snprintf(walk->where, sizeof(walk->where), "%s", entry->d_name);
        if (r < 0)
            return r;
    }
    return 0;
}

/* The path may have led through links. */
static int check_place(int fd, const struct relabel *relabel, struct error *err)
{
    char name[64], place[PATH_MAX];

    snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
    ssize_t length = readlink(name, place, sizeof(place) - 1);
    if (length < 0)
        return error_sys(err, errno, "find out what %s is", relabel->path);
    place[length] = '\0';
    for (size_t i = 0; i < ARRAY_SIZE(kept); i++)
        if (str_equal(place, kept[i]))
            return error_set(err, EPERM,
                    "%s keeps its labels, or this host would not work any more: share a folder "
                    "below "
                    "it, or leave z and Z out",
                    place);
    return 0;
}

static int open_top(const struct relabel *relabel, struct error *err)
{
    _cleanup_close_ int whole =
            open(relabel->path, O_PATH | O_CLOEXEC | (relabel->nofollow ? O_NOFOLLOW : 0));

    if (whole < 0)
        return error_sys(err, errno, "open %s to label it", relabel->path);
    if (!relabel->part)
        return take_fd(&whole);
    int fd = inroot_open(whole, relabel->part, INROOT_MUST_EXIST, INROOT_FOLLOW, NULL);
    return fd < 0 ? error_sys(err, -fd, "open %s in %s to label it", relabel->part, relabel->path)
                  : fd;
}

static const char *hint(int r)
{
    if (r == -EOPNOTSUPP)
        return "its file system keeps no labels, or one was given to all of it when it was "
               "mounted: "
               "leave z and Z out";
    if (r == -EINVAL)
        return "the policy of this kernel does not know the label";
    if (r == -EACCES || r == -EPERM)
        return "the policy, or the owner of the files, does not allow it";
    return r == -ELOOP ? "folders lie too deep in each other" : NULL;
}

static int relabel_apply(const struct step *step, struct plan_run *run, struct error *err)
{
    const struct relabel *relabel = step->args;
    struct walk walk = {.label = relabel->label};
    _cleanup_close_ int top = open_top(relabel, err);

    (void)run;
    if (top < 0)
        return top;
    int r = check_place(top, relabel, err);
    if (r < 0)
        return r;
    r = walk_file(&walk, top, 0);
    return r < 0 ? error_sys_hint(err, -r, hint(r), "label %s%s%s as %s", relabel->path,
                           *walk.where ? ", at " : "", walk.where, relabel->label)
                 : 0;
}

static void relabel_describe(const struct step *step, struct step_text *text)
{
    const struct relabel *relabel = step->args;

    step_call(text, "openat(AT_FDCWD, %s, O_RDONLY|O_CLOEXEC|O_PATH%s)",
            step_quote(text->arena, relabel->path), relabel->nofollow ? "|O_NOFOLLOW" : "");
    if (relabel->part)
        inroot_call(text, relabel->part, INROOT_FOLLOW);
    step_call(text,
            "openat2(<folder>, <each>, {flags=O_NOFOLLOW|O_CLOEXEC|O_PATH, resolve=%s}, 24)",
            RESOLVE_TEXT);
    step_call(text, "setxattr(\"/proc/self/fd/<each>\", \"security.selinux\", %s, %zu, 0)",
            step_quote(text->arena, relabel->label), strlen(relabel->label) + 1);
    step_why(text, "%s and what is below it get the label that the sandbox may use, and keep it",
            relabel->path);
}

static const struct step_ops relabel_ops = {
        "relabel", "setxattr(2)", relabel_apply, NULL, relabel_describe, NULL};

void relabel_add(struct plan *plan, enum step_place place, const struct relabel *relabel,
        const char *because)
{
    plan_add(plan, place, &relabel_ops, because, relabel);
}
