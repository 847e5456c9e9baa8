#include "rootfs/mount.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "plan/run.h"
#include "rootfs/attr.h"
#include "rootfs/copyup.h"
#include "rootfs/legacy.h"
#include "rootfs/refusal.h"
#include "sys/mount.h"

#define FSCONFIG_VALUE_MAX 255 /* longer strings are refused by fsconfig(2) */

int mount_attach(int mount_fd, int target_fd, const char *target, struct error *err)
{
    int r = sys_move_mount(
            mount_fd, "", target_fd, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH);

    if (r == 0)
        return 0;
    return error_sys_hint(err, -r,
            r == -ENOTDIR ? "a directory can only be mounted on a directory, and a file on a file"
                          : NULL,
            "attach the mount to %s", target);
}

void mount_attach_call(struct step_text *text)
{
    step_call(text, "move_mount(<mount>, \"\", <target>, \"\", "
                    "MOVE_MOUNT_F_EMPTY_PATH|MOVE_MOUNT_T_EMPTY_PATH)");
}

/* A new file system. */

/* File systems without a device: read-only is a matter of the mount, so that others who share the
 * superblock (cgroups, sysfs) are not touched, and tmpfs can still be filled. */
static bool has_device(const char *type)
{
    static const char *const without[] = {"proc", "sysfs", "tmpfs", "devpts", "mqueue", "cgroup",
            "cgroup2", "overlay", "ramfs", "devtmpfs", "securityfs", "debugfs", "tracefs", "bpf",
            "efivarfs", "configfs", "fusectl", "hugetlbfs", "pstore", "binfmt_misc", "binder"};

    for (size_t i = 0; i < ARRAY_SIZE(without); i++)
        if (str_equal(without[i], type))
            return false;
    return true;
}

/* The words for fsconfig, in the order of the calls: known to every file system, then its own. */
static void config_words(const struct mount *mount, struct arena *arena, struct strv *words)
{
    const char *word;

    if (mount->source && *mount->source)
        strv_add(arena, words, arena_printf(arena, "source=%s", mount->source));
    if ((mount->options.set & MOUNT_ATTR_RDONLY) && has_device(mount->type))
        strv_add(arena, words, "ro");
    strv_foreach (word, &mount->options.superblock)
        strv_add(arena, words, word);
    strv_foreach (word, &mount->options.data)
        strv_add(arena, words, word);
    if (mount->label)
        strv_add(arena, words, arena_printf(arena, "context=%s", mount->label));
}

/* What the file system itself says about the failure, read from its context. */
static void add_kernel_words(int fs_fd, struct error *err)
{
    char said[256];
    ssize_t length = read(fs_fd, said, sizeof(said) - 1);

    if (length <= 2)
        return;
    said[length] = '\0';
    error_append(err, "; the kernel says: %.*s", (int)strcspn(said + 2, "\n"), said + 2);
}

static int config_word(int fs_fd, const char *word)
{
    char key[FSCONFIG_VALUE_MAX + 1];
    const char *value = strchr(word, '=');

    if (!value)
        return sys_fsconfig(fs_fd, FSCONFIG_SET_FLAG, word, NULL, 0);
    if ((size_t)(value - word) >= sizeof(key) || strlen(value + 1) > FSCONFIG_VALUE_MAX)
        return -EINVAL;
    memcpy(key, word, (size_t)(value - word));
    key[value - word] = '\0';
    return sys_fsconfig(fs_fd, FSCONFIG_SET_STRING, key, value + 1, 0);
}

static int config_fail(
        int fs_fd, const struct mount *mount, const char *word, int r, struct error *err)
{
    error_sys(err, -r, "mount %s on %s: set \"%s\"", mount->type, mount->target, word);
    if (err)
        add_kernel_words(fs_fd, err);
    return r;
}

static int configure(
        int fs_fd, const struct mount *mount, const struct strv *words, struct error *err)
{
    const char *word;

    strv_foreach (word, words) {
        int r = config_word(fs_fd, word);
        if (r == -EINVAL && (str_equal(word, "acl") || str_equal(word, "noacl")))
            continue; /* a file system with no choice in it: runc's flag for it is passed over too
                       */
        if (r < 0)
            return config_fail(fs_fd, mount, word, r, err);
    }
    return 0;
}

static int create(int fs_fd, const struct mount *mount, struct error *err)
{
    int r = sys_fsconfig(fs_fd, FSCONFIG_CMD_CREATE, NULL, NULL, 0);

    if (r == 0) {
        bool late_ro = mount->options.tmpcopyup; /* it has to be filled first */
        uint64_t attributes = mount->options.set & ~(uint64_t)(late_ro ? MOUNT_ATTR_RDONLY : 0);
        r = sys_fsmount(fs_fd, 0, (unsigned)attributes);
    }
    if (r >= 0)
        return r;
    refusal_explain(mount->type, mount->source, mount->target, -r, err);
    if (err)
        add_kernel_words(fs_fd, err);
    return r;
}

/* The file system as a detached mount. -ENOSYS or -EPERM of fsopen itself: mount(2) is to be
 * tried; `*ret_refused` tells that from a refusal of the file system. */
static int make_detached(
        const struct mount *mount, const char *mode, bool *ret_refused, struct error *err)
{
    _cleanup_arena_ struct arena arena = {0};
    struct strv words = {0};
    _cleanup_close_ int fs_fd = sys_fsopen(mount->type, 0);

    *ret_refused = legacy_wanted(fs_fd);
    if (fs_fd == -ENODEV)
        return error_set(err, ENODEV,
                "mount %s on %s: this kernel has no file system of that type (/proc/filesystems)",
                mount->type, mount->target);
    if (fs_fd < 0)
        return error_sys(err, -fs_fd, "mount %s on %s", mount->type, mount->target);
    config_words(mount, &arena, &words);
    if (mode)
        strv_add(&arena, &words, mode);
    int r = configure(fs_fd, mount, &words, err);
    return r < 0 ? r : create(fs_fd, mount, err);
}

static bool long_option(const struct mount *mount)
{
    const char *word;

    strv_foreach (word, &mount->options.data)
        if (strlen(word) > FSCONFIG_VALUE_MAX)
            return true;
    return false;
}

static int mount_legacy(
        const struct mount *mount, struct plan_run *run, int target, struct error *err)
{
    _cleanup_arena_ struct arena arena = {0};
    struct mount_options options = mount->options;
    const char *word;

    options.data = (struct strv){0};
    strv_foreach (word, &mount->options.data)
        strv_add(&arena, &options.data, word);
    if (mount->label) /* categories have a comma between them */
        strv_add(&arena, &options.data, arena_printf(&arena, "context=\"%s\"", mount->label));
    int r = legacy_mount(&run->fds[mount->proc_slot], target, mount->type, mount->source, &options);

    return r < 0 ? refusal_explain(mount->type, mount->source, mount->target, -r, err) : 0;
}

static bool wants_mode(const struct mount *mount)
{
    const char *word;

    strv_foreach (word, &mount->options.data)
        if (str_starts(word, "mode="))
            return false;
    return str_equal(mount->type, "tmpfs");
}

/* The target; a tmpfs over a directory that was there takes over its mode. */
static int open_target(const struct mount *mount, int root, char mode[16], struct error *err)
{
    struct stat st;
    int fd = inroot_open(root, mount->target, INROOT_MUST_EXIST, mount->follow, NULL);

    mode[0] = '\0';
    if (fd == -ENOENT)
        return inroot_make(root, mount->target, INROOT_DIRECTORY, mount->follow, err);
    if (fd < 0)
        return inroot_open(root, mount->target, INROOT_MUST_EXIST, mount->follow, err);
    if (wants_mode(mount) && fstat(fd, &st) == 0)
        snprintf(mode, 16, "mode=%o", st.st_mode & 07777u);
    return fd;
}

/* tmpcopyup: what the target held before is copied into the new tmpfs, still unseen. */
static int fill(const struct mount *mount, int mount_fd, int target, struct error *err)
{
    int r = copyup(target, mount_fd, err);

    if (r < 0)
        return error_prefix(err, "fill the tmpfs on %s with what it covers", mount->target);
    struct mount_attr attr = {.attr_set = MOUNT_ATTR_RDONLY};
    if (mount->options.set & MOUNT_ATTR_RDONLY)
        r = sys_mount_setattr(mount_fd, "", AT_EMPTY_PATH, &attr);
    return r < 0 ? error_sys(err, -r, "make %s read-only", mount->target) : 0;
}

static int set_propagation(const struct mount *mount, int fd, struct error *err)
{
    struct attr_calls calls = {.count = 1,
            .calls = {{.recursive = mount->options.propagation_rec,
                    .attr = {.propagation = mount->options.propagation}}}};

    return mount->options.propagation ? attr_apply(fd, &calls, mount->target, err) : 0;
}

static int new_apply(const struct step *step, struct plan_run *run, struct error *err)
{
    const struct mount *mount = step->args;
    char mode[16];
    bool refused = long_option(mount);
    _cleanup_close_ int target = open_target(mount, run->fds[mount->root_slot], mode, err);

    if (target < 0)
        return error_prefix(err, "mount %s on %s", mount->type, mount->target);
    _cleanup_close_ int fd =
            refused ? -1 : make_detached(mount, *mode ? mode : NULL, &refused, err);
    if (refused && !mount->options.tmpcopyup)
        return mount_legacy(mount, run, target, err);
    if (fd < 0)
        return refused ? error_sys(err, ENOSYS, "fill the tmpfs on %s: fsopen", mount->target) : fd;
    int r = mount->options.tmpcopyup ? fill(mount, fd, target, err) : 0;
    if (r == 0)
        r = mount_attach(fd, target, mount->target, err);
    return r < 0 ? r : set_propagation(mount, fd, err);
}

/* The calls that find or make the target; what it is, all zero when that is not known. */
static void describe_target(const struct mount *mount, enum inroot_make make, struct stat *ret_st,
        struct step_text *text)
{
    size_t missing = 0;

    *ret_st = (struct stat){0};
    if (mount->foresight)
        missing = foresight_missing(mount->foresight, mount->when, mount->target, ret_st);
    inroot_make_calls(text, mount->target, make, mount->follow, missing);
}

/* What a new file system of this type shows. */
static const char *type_shows(const char *type)
{
    static const struct {
        const char *type, *shows;
    } known[] = {
            {"proc", "the processes of its PID namespace, and no others"},
            {"sysfs", "devices and the kernel, and the interfaces of its network namespace"},
            {"devpts", "terminals of its own"},
            {"mqueue", "the POSIX message queues of its IPC namespace, and no others"},
            {"cgroup", "one v1 hierarchy, from the root of its cgroup namespace down"},
            {"cgroup2", "the v2 hierarchy, from the root of its cgroup namespace down"},
            {"tmpfs", "files in memory, which end with the sandbox"},
    };

    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (str_equal(type, known[i].type))
            return known[i].shows;
    return "a file system of the sandbox's own";
}

static void new_describe(const struct step *step, struct step_text *text)
{
    const struct mount *mount = step->args;
    struct strv words = {0};
    struct stat st;
    const char *word;

    describe_target(mount, INROOT_DIRECTORY, &st, text);
    step_call(text, "fsopen(%s, FSOPEN_CLOEXEC)", step_quote(text->arena, mount->type));
    config_words(mount, text->arena, &words);
    if (st.st_mode && wants_mode(mount))
        strv_add(text->arena, &words, arena_printf(text->arena, "mode=%o", st.st_mode & 07777u));
    strv_foreach (word, &words) {
        const char *value = strchr(word, '=');
        const char *key = value ? arena_strndup(text->arena, word, (size_t)(value - word)) : word;
        step_call(text, "fsconfig(<fs>, %s, \"%s\", %s, 0)",
                value ? "FSCONFIG_SET_STRING" : "FSCONFIG_SET_FLAG", key,
                value ? step_quote(text->arena, value + 1) : "NULL");
    }
    step_call(text, "fsconfig(<fs>, FSCONFIG_CMD_CREATE, NULL, NULL, 0)");
    step_call(text, "fsmount(<fs>, FSMOUNT_CLOEXEC, %s)",
            mount_attr_text(text->arena, mount->options.set));
    mount_attach_call(text);
    if (mount->options.propagation)
        step_call(text,
                "mount_setattr(<mount>, \"\", AT_EMPTY_PATH%s, {attr_set=0, attr_clr=0, "
                "propagation=%s, userns_fd=0}, 32)",
                mount->options.propagation_rec ? "|AT_RECURSIVE" : "",
                mount_propagation_text(mount->options.propagation));
    step_why(text, "a new %s on %s: %s", mount->type, mount->target, type_shows(mount->type));
}

static const struct step_ops new_ops = {"mount", "fsopen(2)", new_apply, NULL, new_describe, NULL};

void mount_add_new(struct plan *plan, const struct mount *mount, const char *because)
{
    plan_add(plan, STEP_CHILD, &new_ops, because, mount);
}

/* A bind mount. */

/* Only mount(2) works here: the source is opened by this process, in its own mount namespace. */
static int bind_legacy(
        const struct mount *mount, struct plan_run *run, int target, struct error *err)
{
    int root = run->fds[mount->root_slot];
    int *proc = &run->fds[mount->proc_slot];
    _cleanup_close_ int source = open(
            mount->source, O_PATH | O_CLOEXEC | (mount->options.src_nofollow ? O_NOFOLLOW : 0));

    if (source < 0)
        return error_sys(
                err, errno, "bind %s on %s: open the source", mount->source, mount->target);
    int r = legacy_bind(proc, source, target, mount->options.rbind);
    if (r < 0)
        return refusal_explain("bind", mount->source, mount->target, -r, err);
    _cleanup_close_ int top =
            inroot_open(root, mount->target, INROOT_MUST_EXIST, mount->follow, err);
    if (top < 0)
        return top;
    r = legacy_setattr(proc, top, &mount->options, mount->base);
    return r < 0 ? error_sys_hint(err, -r,
                           r == -ENOTSUP ? "recursive attributes (rro …) need mount_setattr(2), "
                                           "Linux 5.12"
                                         : NULL,
                           "set the attributes of the mount %s", mount->target)
                 : 0;
}

/* Whether the source is no directory, so that a missing target becomes a file. */
static bool source_is_file(const struct mount *mount, int source)
{
    struct stat st;

    if (source >= 0 ? fstat(source, &st) < 0 : stat(mount->source, &st) < 0)
        return false;
    return !S_ISDIR(st.st_mode);
}

static int open_bind_target(const struct mount *mount, int root, int source, struct error *err)
{
    int fd = inroot_open(root, mount->target, INROOT_MUST_EXIST, mount->follow, NULL);

    if (fd != -ENOENT)
        return fd >= 0 ? fd
                       : inroot_open(root, mount->target, INROOT_MUST_EXIST, mount->follow, err);
    return inroot_make(root, mount->target,
            source_is_file(mount, source) ? INROOT_FILE : INROOT_DIRECTORY, mount->follow, err);
}

/* "copy-symlink": the held source is a link, which is made anew inside. */
static int copy_link(const struct mount *mount, int root, int source, struct error *err)
{
    char text[PATH_MAX], found[PATH_MAX];
    const char *name;
    ssize_t length = readlinkat(source, "", text, sizeof(text) - 1);

    if (length < 0)
        return error_sys(err, errno, "read the link %s", mount->source);
    text[length] = '\0';
    _cleanup_close_ int dir = inroot_open_parent(root, mount->target, &name, err);
    if (dir < 0)
        return dir;
    int r = sys_symlinkat(text, dir, name);
    if (r == -EEXIST) {
        ssize_t there = readlinkat(dir, name, found, sizeof(found) - 1);
        if (there == length && memcmp(found, text, (size_t)length) == 0)
            return 0;
    }
    return r < 0 ? error_sys(err, -r, "copy the link %s to %s", mount->source, mount->target) : 0;
}

static bool is_link(int fd)
{
    struct stat st;

    return fstat(fd, &st) == 0 && S_ISLNK(st.st_mode);
}

static int bind_apply(const struct step *step, struct plan_run *run, struct error *err)
{
    const struct mount *mount = step->args;
    int root = run->fds[mount->root_slot];
    int *source = &run->fds[mount->source_slot];

    if (mount->options.copy_symlink && *source >= 0 && is_link(*source))
        return copy_link(mount, root, *source, err);
    _cleanup_close_ int target = open_bind_target(mount, root, *source, err);
    if (target < 0)
        return error_prefix(err, "bind %s on %s", mount->source, mount->target);
    if (*source < 0)
        return bind_legacy(mount, run, target, err);
    int r = mount_attach(*source, target, mount->target, err);
    cleanup_close(source);
    return r < 0 ? error_prefix(err, "bind %s", mount->source) : 0;
}

static void bind_describe(const struct step *step, struct step_text *text)
{
    const struct mount *mount = step->args;
    struct stat st;

    describe_target(mount, source_is_file(mount, -1) ? INROOT_FILE : INROOT_DIRECTORY, &st, text);
    mount_attach_call(text);
    step_why(text, "%s is seen as %s", mount->source, mount->target);
}

static const struct step_ops bind_ops = {
        "bind", "move_mount(2)", bind_apply, NULL, bind_describe, NULL};

void mount_add_bind(struct plan *plan, const struct mount *mount, const char *because)
{
    plan_add(plan, STEP_CHILD, &bind_ops, because, mount);
}

/* A change of what is mounted already. */

static int reconfigure(const struct mount *mount, int target, struct error *err)
{
    _cleanup_close_ int fs_fd = sys_fspick(target, "", FSPICK_EMPTY_PATH);

    if (fs_fd < 0)
        return error_sys(err, -fs_fd, "remount %s", mount->target);
    int r = configure(fs_fd, mount, &mount->options.superblock, err);
    if (r == 0)
        r = configure(fs_fd, mount, &mount->options.data, err);
    if (r < 0)
        return r;
    r = sys_fsconfig(fs_fd, FSCONFIG_CMD_RECONFIGURE, NULL, NULL, 0);
    return r < 0 ? config_fail(fs_fd, mount, "remount", r, err) : 0;
}

static struct attr_calls remount_calls(const struct mount *mount)
{
    const struct mount_options *options = &mount->options;

    return attr_plan(
            options, options->rec_set || options->rec_clear || options->propagation_rec, 0);
}

static int remount_apply(const struct step *step, struct plan_run *run, struct error *err)
{
    const struct mount *mount = step->args;
    struct attr_calls calls = remount_calls(mount);
    _cleanup_close_ int target = inroot_open(
            run->fds[mount->root_slot], mount->target, INROOT_MUST_EXIST, mount->follow, err);

    if (target < 0)
        return error_prefix(err, "remount %s", mount->target);
    int r = attr_apply(target, &calls, mount->target, err);
    bool superblock = mount->options.superblock.count || mount->options.data.count;
    return r < 0 || !superblock ? r : reconfigure(mount, target, err);
}

static void remount_describe(const struct step *step, struct step_text *text)
{
    const struct mount *mount = step->args;
    struct attr_calls calls = remount_calls(mount);

    inroot_call(text, mount->target, mount->follow);
    attr_describe(text, "<target>", &calls);
    if (mount->options.superblock.count || mount->options.data.count) {
        step_call(text, "fspick(<target>, \"\", FSPICK_CLOEXEC|FSPICK_EMPTY_PATH)");
        step_call(text, "fsconfig(<fs>, FSCONFIG_CMD_RECONFIGURE, NULL, NULL, 0)");
    }
    step_why(text, "other options for what is mounted on %s", mount->target);
}

static const struct step_ops remount_ops = {
        "remount", "mount_setattr(2)", remount_apply, NULL, remount_describe, NULL};

void mount_add_remount(struct plan *plan, const struct mount *mount, const char *because)
{
    plan_add(plan, STEP_CHILD, &remount_ops, because, mount);
}
