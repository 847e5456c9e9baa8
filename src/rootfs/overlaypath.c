#include "rootfs/overlaypath.h"

#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/path.h"
#include "base/str.h"
#include "rootfs/overlayupper.h"
#include "sys/mount.h"
#include "sys/process.h"

#define OPTIONS_MAX 4095 /* mount(2) takes a page */

/* What the process with the mount namespace tells; its descriptor table is ours too. */
struct answer {
    int result;
    int fd;
    struct error error;
};

/*
 * The layers, mapped, are attached below a tmpfs, under names that are short since all of them have
 * to fit into one page: "0", "1" …, and "u" for the folder that holds upper and work.
 */
static int attach(
        const struct overlay_mount *mount, const char *path, const char *name, struct error *err)
{
    struct mount_attr attr = {
            .attr_set = MOUNT_ATTR_IDMAP, .userns_fd = (__u64)(unsigned)mount->userns_fd};

    _cleanup_close_ int fd = sys_open_tree(AT_FDCWD, path, OPEN_TREE_CLONE);
    int r = fd;
    if (r >= 0 && mount->userns_fd >= 0)
        r = sys_mount_setattr(fd, "", AT_EMPTY_PATH, &attr);
    if (r >= 0)
        r = sys_mkdirat(AT_FDCWD, name, 0700);
    if (r >= 0)
        r = sys_move_mount(fd, "", AT_FDCWD, name, MOVE_MOUNT_F_EMPTY_PATH);
    return r < 0 ? error_sys(err, -r, "attach the layer %s", path) : 0;
}

static int attach_upper(const struct overlay_mount *mount, struct error *err)
{
    _cleanup_arena_ struct arena arena = {0};

    if (!mount->layers->in_memory)
        return attach(mount, path_dir(&arena, mount->layers->upper), "u", err);
    _cleanup_close_ int fd = overlay_memory(mount, err);
    if (fd < 0)
        return fd;
    int r = sys_mkdirat(AT_FDCWD, "u", 0700);
    if (r == 0)
        r = sys_move_mount(fd, "", AT_FDCWD, "u", MOVE_MOUNT_F_EMPTY_PATH);
    return r < 0 ? error_sys(err, -r, "attach the tmpfs for what the sandbox changes") : 0;
}

/* The options of the mount, with the names of the layers. */
static void write_options(
        const struct rootfs_overlay *layers, bool user_marks, const char *label, struct buf *text)
{
    buf_printf(text, "%s%s", user_marks ? "userxattr" : "redirect_dir=off,metacopy=off,index=off",
            layers->passing && layers->upper ? ",volatile" : "");
    for (size_t i = 0; i < layers->lower.count; i++)
        buf_printf(text, "%s%zu", i == 0 ? ",lowerdir=" : ":", i);
    if (layers->upper)
        buf_printf(text, ",upperdir=u/%s,workdir=u/%s",
                layers->in_memory ? "upper" : path_base(layers->upper),
                layers->in_memory ? "work" : path_base(layers->work));
    if (label)
        buf_printf(text, ",context=\"%s\"", label); /* categories have a comma between them */
}

static int attach_all(const struct overlay_mount *mount, struct buf *text, struct error *err)
{
    const struct rootfs_overlay *layers = mount->layers;
    char name[24];
    int r = 0;

    write_options(layers, mount->user_marks, mount->label, text);
    for (size_t i = 0; i < layers->lower.count && r == 0; i++) {
        snprintf(name, sizeof(name), "%zu", i);
        r = attach(mount, layers->lower.words[i], name, err);
    }
    if (r == 0 && layers->upper)
        r = attach_upper(mount, err);
    if (r == 0 && text->overflow)
        r = error_set(
                err, E2BIG, "%zu layers are more than this kernel takes", layers->lower.count);
    return r;
}

static int lay(const struct overlay_mount *mount, struct error *err)
{
    _cleanup_buf_ struct buf text = {.max = OPTIONS_MAX};
    struct overlay_self self;
    struct mount_attr attr = {.propagation = MS_PRIVATE};
    int r = sys_mount_setattr(AT_FDCWD, "/", AT_RECURSIVE, &attr);

    if (r == 0)
        r = sys_mount("tmpfs", "/proc", "tmpfs", 0, "mode=700");
    if (r == 0 && chdir("/proc") < 0)
        r = -errno;
    if (r < 0)
        return error_sys(err, -r, "prepare a place for the layers of the root");
    r = attach_all(mount, &text, err);
    if (r < 0)
        return r;
    r = sys_mkdirat(AT_FDCWD, "m", 0700);
    if (r == 0 && overlay_become(mount, &self, err) < 0)
        return -err->errnum;
    if (r == 0)
        r = sys_mount("viv", "m", "overlay", 0, buf_text(&text));
    if (r < 0)
        return error_sys_hint(err, -r,
                r == -ENODEV   ? "load the kernel's module: modprobe overlay"
                : r == -EINVAL ? overlay_upper_hint(mount->layers)
                               : NULL,
                "lay %zu layers over each other", mount->layers->lower.count);
    int fd = sys_open_tree(AT_FDCWD, "m", OPEN_TREE_CLONE);
    return fd < 0 ? error_sys(err, -fd, "open the mounted root") : fd;
}

int overlay_mount_by_path(const struct overlay_mount *mount, int *ret_fd, struct error *err)
{
    struct clone_args args = {.flags = CLONE_NEWNS | CLONE_FILES, .exit_signal = 0};
    struct answer answer = {.result = -ECHILD};
    siginfo_t info;
    int ends[2];

    if (pipe2(ends, O_CLOEXEC) < 0)
        return error_sys(err, errno, "pipe");
    _cleanup_close_ int reader = ends[0];
    _cleanup_close_ int writer = ends[1];
    pid_t pid = sys_clone3(&args);
    if (pid == 0) {
        answer.fd = lay(mount, &answer.error);
        answer.result = answer.fd < 0 ? answer.fd : 0;
        _exit(write(writer, &answer, sizeof(answer)) != sizeof(answer));
    }
    if (pid < 0)
        return error_sys(err, -pid, "make a mount namespace for the layers of the root");
    sys_waitid(P_PID, (id_t)pid, &info, WEXITED | __WALL);
    cleanup_close(&writer);
    if (read(reader, &answer, sizeof(answer)) != sizeof(answer))
        return error_set(err, ECHILD, "the process that mounts the root was killed");
    if (answer.result < 0) {
        if (err)
            *err = answer.error;
        return answer.result;
    }
    *ret_fd = answer.fd;
    return 0;
}

static void describe_attach(
        const char *path, const char *name, bool idmapped, struct step_text *text)
{
    step_call(text, "open_tree(AT_FDCWD, %s, OPEN_TREE_CLONE|OPEN_TREE_CLOEXEC)",
            step_quote(text->arena, path));
    if (idmapped)
        step_call(text, "mount_setattr(<layer>, \"\", AT_EMPTY_PATH, "
                        "{attr_set=MOUNT_ATTR_IDMAP, attr_clr=0, propagation=0, "
                        "userns_fd=<userns>}, 32)");
    step_call(text, "mkdirat(AT_FDCWD, \"%s\", 0700)", name);
    step_call(text, "move_mount(<layer>, \"\", AT_FDCWD, \"%s\", MOVE_MOUNT_F_EMPTY_PATH)", name);
}

void overlay_path_describe(const struct rootfs_overlay *layers, const struct overlay_ids *ids,
        bool user_marks, const char *label, struct step_text *text)
{
    _cleanup_buf_ struct buf written = {.max = OPTIONS_MAX};

    step_call(text, "clone3({flags=CLONE_FILES|CLONE_NEWNS, exit_signal=0}, 88)");
    step_call(text, "mount_setattr(AT_FDCWD, \"/\", AT_RECURSIVE, {attr_set=0, attr_clr=0, "
                    "propagation=MS_PRIVATE, userns_fd=0}, 32)");
    step_call(text, "mount(\"tmpfs\", \"/proc\", \"tmpfs\", 0, \"mode=700\")");
    step_call(text, "chdir(\"/proc\")");
    for (size_t i = 0; i < layers->lower.count; i++)
        describe_attach(layers->lower.words[i], arena_printf(text->arena, "%zu", i), ids, text);
    if (layers->upper && layers->in_memory) {
        overlay_memory_describe(text);
        step_call(text, "mkdirat(AT_FDCWD, \"u\", 0700)");
        step_call(text, "move_mount(<memory>, \"\", AT_FDCWD, \"u\", MOVE_MOUNT_F_EMPTY_PATH)");
    } else if (layers->upper) {
        describe_attach(path_dir(text->arena, layers->upper), "u", ids, text);
    }
    step_call(text, "mkdirat(AT_FDCWD, \"m\", 0700)");
    if (ids)
        overlay_describe_become(ids, text);
    write_options(layers, user_marks, label, &written);
    step_call(text, "mount(\"viv\", \"m\", \"overlay\", 0, %s)",
            step_quote(text->arena, buf_text(&written)));
    step_call(text, "open_tree(AT_FDCWD, \"m\", OPEN_TREE_CLONE|OPEN_TREE_CLOEXEC)");
}
