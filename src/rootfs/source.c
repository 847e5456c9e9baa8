#include "rootfs/source.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "plan/run.h"
#include "rootfs/attr.h"
#include "rootfs/elsewhere.h"
#include "rootfs/inroot.h"
#include "rootfs/legacy.h"
#include "sys/mount.h"
#include "sys/proc.h"

static unsigned tree_flags(const struct source *source)
{
    return OPEN_TREE_CLONE | (source->recursive ? AT_RECURSIVE : 0) |
           (source->nofollow ? AT_SYMLINK_NOFOLLOW : 0);
}

static int open_fail(const struct source *source, int r, struct error *err)
{
    const char *hint = NULL;

    if (r == -ENOENT)
        hint = "the source of a bind mount has to exist: create it, or correct the path";
    else if (r == -EINVAL && !source->recursive)
        hint = "mounts below it hide what a user namespace may not see; use rbind";
    else if (r == -EACCES)
        hint = "the user that starts the sandbox may not reach it";
    return error_sys_hint(err, -r, hint, "open %s as the source of a mount", source->path);
}

/* "copy-symlink": a link is kept as it is. 1: it is none. */
static int open_link(const struct source *source, struct plan_run *run)
{
    struct stat st;
    _cleanup_close_ int fd = open(source->path, O_PATH | O_NOFOLLOW | O_CLOEXEC);

    if (fd < 0 || fstat(fd, &st) < 0)
        return -errno;
    if (!S_ISLNK(st.st_mode))
        return 1;
    run->fds[source->slot] = take_fd(&fd);
    return 0;
}

/* A part of it: found inside it, so that no link and no ".." leads elsewhere. */
static int open_part(const struct source *source, struct error *err)
{
    const char *part = source->options.subdir;
    _cleanup_close_ int whole = open(source->path, O_PATH | O_CLOEXEC);

    if (whole < 0)
        return open_fail(source, -errno, err);
    _cleanup_close_ int fd = inroot_open(whole, part, INROOT_MUST_EXIST, INROOT_FOLLOW, NULL);
    if (fd < 0)
        return error_sys_hint(err, -fd,
                fd == -ENOENT ? "it has to be there: create it, or correct the path" : NULL,
                "open %s in %s as the source of a mount", part, source->path);
    int tree = sys_open_tree(fd, "", tree_flags(source) | AT_EMPTY_PATH);
    return tree < 0 ? error_sys(err, -tree, "open %s in %s as the source of a mount", part,
                              source->path)
                    : tree;
}

static int open_whole(const struct source *source)
{
    if (source->elsewhere)
        return elsewhere_open_tree(source->path, tree_flags(source));
    return sys_open_tree(AT_FDCWD, source->path, tree_flags(source));
}

static int open_apply(const struct step *step, struct plan_run *run, struct error *err)
{
    const struct source *source = step->args;
    int r = source->link ? open_link(source, run) : 1;

    if (r <= 0)
        return r < 0 ? open_fail(source, r, err) : 0;
    bool part = source->options.subdir;
    _cleanup_close_ int tree = part ? open_part(source, err) : open_whole(source);
    if (part && tree < 0)
        return tree;
    if (legacy_wanted(tree))
        return 0; /* the child tries mount(2), whose error then counts */
    if (tree < 0)
        return open_fail(source, tree, err);
    struct attr_calls calls = attr_plan(&source->options, source->recursive, source->base);
    r = attr_apply(tree, &calls, source->path, err);
    if (r == -ENOSYS)
        return 0;
    if (r == 0)
        run->fds[source->slot] = take_fd(&tree);
    return r;
}

static void open_describe(const struct step *step, struct step_text *text)
{
    const struct source *source = step->args;
    struct attr_calls calls = attr_plan(&source->options, source->recursive, source->base);

    if (source->link) {
        step_call(text, "openat(AT_FDCWD, %s, O_RDONLY|O_NOFOLLOW|O_CLOEXEC|O_PATH)",
                step_quote(text->arena, source->path));
        step_call(text, "fstat(<source>)");
    }
    const char *flags = arena_printf(text->arena, "%sOPEN_TREE_CLONE|OPEN_TREE_CLOEXEC%s",
            source->nofollow ? "AT_SYMLINK_NOFOLLOW|" : "",
            source->recursive ? "|AT_RECURSIVE" : "");
    if (source->options.subdir) {
        step_call(text, "openat(AT_FDCWD, %s, O_RDONLY|O_CLOEXEC|O_PATH)",
                step_quote(text->arena, source->path));
        inroot_call(text, source->options.subdir, INROOT_FOLLOW);
        step_call(text, "open_tree(<part>, \"\", AT_EMPTY_PATH|%s)", flags);
    } else if (source->elsewhere)
        elsewhere_describe(text, source->path, flags);
    else
        step_call(
                text, "open_tree(AT_FDCWD, %s, %s)", step_quote(text->arena, source->path), flags);
    attr_describe(text, "<source>", &calls);
    step_why(text, "%s as the sandbox will see it, held before any path of the sandbox is walked",
            source->path);
}

static const struct step_ops open_ops = {
        "open_tree", "mount(2)", open_apply, NULL, open_describe, NULL};

void source_add_open(
        struct plan *plan, enum step_place place, const struct source *source, const char *because)
{
    plan_add(plan, place, &open_ops, because, source);
}

int source_open_userns(pid_t child, struct error *err)
{
    char pid[16];

    _cleanup_close_ int proc = sys_proc_open_shared(err);
    if (proc < 0)
        return proc;
    snprintf(pid, sizeof(pid), "%d", child);
    int fd = sys_proc_open_ns(proc, pid, "user");
    return fd < 0 ? error_sys(err, -fd, "open the sandbox's user namespace") : fd;
}

/* A descriptor of the user namespace whose maps are wanted. */
static int open_userns(const struct source_idmap *idmap, pid_t child, struct error *err)
{
    if (idmap->uids.count)
        return sys_userns_new(&idmap->uids, &idmap->gids, err);
    return source_open_userns(child, err);
}

static const char *idmap_hint(int r)
{
    if (r == -EINVAL)
        return "its file system cannot be idmapped, or is already (tmpfs needs Linux 6.3, overlay "
               "has to be made of idmapped layers); use --userns host, or another file system";
    if (r == -EPERM)
        return "only root of the user namespace that owns the file system can idmap it";
    return NULL;
}

static int idmap_apply(const struct step *step, struct plan_run *run, struct error *err)
{
    const struct source_idmap *idmap = step->args;
    struct mount_attr attr = {.attr_set = MOUNT_ATTR_IDMAP};

    if (run->fds[idmap->slot] < 0)
        return error_set(err, ENOSYS,
                "idmap %s: this kernel, or a filter around this process, has no open_tree or "
                "mount_setattr (Linux 5.12)",
                idmap->path);
    _cleanup_close_ int userns = open_userns(idmap, run->child, err);
    if (userns < 0)
        return error_prefix(err, "idmap %s", idmap->path);
    attr.userns_fd = (__u64)(unsigned)userns;
    int r = sys_mount_setattr(run->fds[idmap->slot], "",
            AT_EMPTY_PATH | (idmap->recursive ? AT_RECURSIVE : 0), &attr);
    return r < 0 ? error_sys_hint(err, -r, idmap_hint(r), "idmap %s", idmap->path) : 0;
}

void source_describe_userns(struct step_text *text)
{
    step_call(text, "openat2(AT_FDCWD, \"/proc\", {flags=O_PATH|O_DIRECTORY|O_CLOEXEC}, 24)");
    step_call(text,
            "openat2(<proc>, \"<child>/ns\", {flags=O_PATH|O_DIRECTORY|O_CLOEXEC, resolve=%s}, 24)",
            SYS_PROC_RESOLVE_TEXT);
    step_call(text, "openat2(<ns>, \"user\", {flags=O_RDONLY|O_CLOEXEC}, 24)");
}

static void describe_userns(const struct source_idmap *idmap, struct step_text *text)
{
    if (!idmap->uids.count) {
        source_describe_userns(text);
        return;
    }
    step_call(text, "clone3({flags=CLONE_NEWUSER, exit_signal=0}, 88)");
    step_call(text, "waitid(P_PID, <maps>, <info>, WEXITED|__WALL, NULL)");
}

static void idmap_describe(const struct step *step, struct step_text *text)
{
    const struct source_idmap *idmap = step->args;

    describe_userns(idmap, text);
    step_call(text,
            "mount_setattr(<source>, \"\", AT_EMPTY_PATH%s, {attr_set=MOUNT_ATTR_IDMAP, "
            "attr_clr=0, "
            "propagation=0, userns_fd=<userns>}, 32)",
            idmap->recursive ? "|AT_RECURSIVE" : "");
    step_why(text, "owners in %s appear shifted by the maps; on disk none changes", idmap->path);
}

static const struct step_ops idmap_ops = {
        "idmap", "mount_setattr(2)", idmap_apply, NULL, idmap_describe, NULL};

void source_add_idmap(struct plan *plan, const struct source_idmap *idmap, const char *because)
{
    plan_add(plan, STEP_HOST, &idmap_ops, because, idmap);
}
