#include "rootfs/overlay.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "plan/run.h"
#include "rootfs/overlaypath.h"
#include "rootfs/overlayupper.h"
#include "rootfs/source.h"
#include "sys/mount.h"
#include "sys/proc.h"

/* What keeps a layer a plain folder: no attribute in it refers to another layer by name. With an
 * ordinary user's marks that is so by itself. */
static const struct {
    const char *key;
    const char *value;
} options[] = {{"source", "viv"}, {"redirect_dir", "off"}, {"metacopy", "off"}, {"index", "off"}};

bool overlay_by_descriptor(void)
{
    struct utsname name;
    unsigned major = 0;
    unsigned minor = 0;

    if (uname(&name) < 0 || sscanf(name.release, "%u.%u", &major, &minor) != 2)
        return true;
    return major > 6 || (major == 6 && minor >= 13);
}

/* ---- opening the layers ---------------------------------------------------------------------- */

/* A mount that is being made. A clone is gone with its last descriptor, so those that are no folder
 * below the base are kept until overlayfs has clones of its own. */
struct making {
    const struct overlay_mount *mount;
    int fs_fd;
    int base_fd; /* of layers->base */
    struct arena arena;
    int *kept;
    size_t kept_count, kept_room;
};

static void making_end(struct making *making)
{
    for (size_t i = 0; i < making->kept_count; i++)
        close(making->kept[i]);
    cleanup_close(&making->base_fd);
    cleanup_close(&making->fs_fd);
    arena_free(&making->arena);
}

/* The part of a path behind the base; NULL: it lies elsewhere. */
static const char *behind_base(const struct rootfs_overlay *layers, const char *path)
{
    const char *rest = layers->base ? str_after(path, layers->base) : NULL;

    return rest && *rest == '/' ? rest + 1 : NULL;
}

static const char *map_hint(int r)
{
    return r == -EINVAL ? "its file system cannot be idmapped; use --userns host, or keep images "
                          "on another one with --data-root"
                        : NULL;
}

/* A folder of the host, through the user namespace's ids if there is one. */
static int open_folder(const struct overlay_mount *mount, const char *path, struct error *err)
{
    struct mount_attr attr = {
            .attr_set = MOUNT_ATTR_IDMAP, .userns_fd = (__u64)(unsigned)mount->userns_fd};

    if (mount->userns_fd < 0) {
        int fd = sys_openat2(AT_FDCWD, path, O_PATH | O_DIRECTORY, 0, 0);
        return fd < 0 ? error_sys(err, -fd, "open the layer %s", path) : fd;
    }
    _cleanup_close_ int fd = sys_open_tree(AT_FDCWD, path, OPEN_TREE_CLONE);
    if (fd < 0)
        return error_sys(err, -fd, "open the layer %s", path);
    int r = sys_mount_setattr(fd, "", AT_EMPTY_PATH, &attr);
    return r < 0 ? error_sys_hint(err, -r, map_hint(r), "map the owners of %s", path)
                 : take_fd(&fd);
}

/* Takes a descriptor over; an error is passed through. */
static int keep(struct making *making, int fd)
{
    if (fd < 0)
        return fd;
    making->kept = arena_grow(&making->arena, making->kept, making->kept_count, &making->kept_room,
            sizeof(*making->kept));
    making->kept[making->kept_count++] = fd;
    return fd;
}

static const char *layer_hint(const struct rootfs_overlay *layers, const char *key, int r)
{
    return r == -EINVAL && str_equal(key, "upperdir") ? overlay_upper_hint(layers) : NULL;
}

static int give_layer(struct making *making, const char *key, const char *path, struct error *err)
{
    const char *rest = behind_base(making->mount->layers, path);
    _cleanup_close_ int below = -1;
    int fd;

    if (rest)
        fd = below = sys_openat2(making->base_fd, rest, O_PATH | O_DIRECTORY, 0, RESOLVE_BENEATH);
    else
        fd = keep(making, open_folder(making->mount, path, err));
    if (fd < 0)
        return rest ? error_sys(err, -fd, "open the layer %s", path) : fd;
    int r = sys_fsconfig(making->fs_fd, FSCONFIG_SET_FD, key, NULL, fd);
    return r < 0 ? error_sys_hint(err, -r, layer_hint(making->mount->layers, key, r),
                           "overlay option %s=%s", key, path)
                 : 0;
}

static int give_part(
        struct making *making, int memory, const char *key, const char *name, struct error *err)
{
    _cleanup_close_ int fd = sys_openat2(memory, name, O_PATH | O_DIRECTORY, 0, RESOLVE_BENEATH);
    int r = fd < 0 ? fd : sys_fsconfig(making->fs_fd, FSCONFIG_SET_FD, key, NULL, fd);

    return r < 0 ? error_sys(err, -r, "overlay option %s, a folder in memory", key) : 0;
}

static int give_memory(struct making *making, struct error *err)
{
    int memory = keep(making, overlay_memory(making->mount, err));
    int r = memory < 0 ? memory : give_part(making, memory, "upperdir", "upper", err);

    return r < 0 ? r : give_part(making, memory, "workdir", "work", err);
}

static int give_layers(struct making *making, struct error *err)
{
    const struct rootfs_overlay *layers = making->mount->layers;
    const char *path;
    int r = 0;

    strv_foreach (path, &layers->lower) {
        if (r == 0)
            r = give_layer(making, "lowerdir+", path, err);
    }
    if (r < 0 || !layers->upper)
        return r;
    if (layers->in_memory)
        return give_memory(making, err);
    r = give_layer(making, "upperdir", layers->upper, err);
    return r < 0 ? r : give_layer(making, "workdir", layers->work, err);
}

/* ---- mounting -------------------------------------------------------------------------------- */

static const char *create_hint(const struct overlay_mount *mount, int r)
{
    if (r == -EPERM)
        return "this kernel does not let ordinary users mount overlayfs (Linux 5.11)";
    if (r == -EINVAL && mount->layers->upper)
        return overlay_upper_hint(mount->layers);
    return NULL;
}

static int configure(const struct making *making)
{
    const struct overlay_mount *mount = making->mount;
    int r = 0;

    for (size_t i = 0; i < (mount->user_marks ? 1 : ARRAY_SIZE(options)) && r == 0; i++)
        r = sys_fsconfig(making->fs_fd, FSCONFIG_SET_STRING, options[i].key, options[i].value, 0);
    if (r == 0 && mount->layers->passing && mount->layers->upper)
        r = sys_fsconfig(making->fs_fd, FSCONFIG_SET_FLAG, "volatile", NULL, 0);
    if (r == 0 && mount->user_marks)
        r = sys_fsconfig(making->fs_fd, FSCONFIG_SET_FLAG, "userxattr", NULL, 0);
    if (r == 0 && mount->label)
        r = sys_fsconfig(making->fs_fd, FSCONFIG_SET_STRING, "context", mount->label, 0);
    return r;
}

static int create(const struct making *making, struct error *err)
{
    const struct overlay_mount *mount = making->mount;
    struct overlay_self self;
    int r = configure(making);

    if (r == 0) {
        r = overlay_become(mount, &self, err);
        if (r < 0)
            return r;
        r = sys_fsconfig(making->fs_fd, FSCONFIG_CMD_CREATE, NULL, NULL, 0);
        overlay_return(&self);
    }
    return r < 0 ? error_sys_hint(err, -r, create_hint(mount, r), "lay %zu layers over each other",
                           mount->layers->lower.count)
                 : 0;
}

static int mount_by_descriptor(const struct overlay_mount *mount, int *ret_fd, struct error *err)
{
    const struct rootfs_overlay *layers = mount->layers;
    _cleanup_(making_end) struct making making = {
            .mount = mount, .fs_fd = sys_fsopen("overlay", 0), .base_fd = -1};
    int r = 0;

    if (making.fs_fd < 0)
        return error_sys_hint(err, -making.fs_fd,
                making.fs_fd == -ENODEV ? "load the kernel's module: modprobe overlay" : NULL,
                "overlayfs, for the layers of the root");
    if (layers->base) {
        making.base_fd = open_folder(mount, layers->base, err);
        r = making.base_fd < 0 ? making.base_fd : 0;
    }
    if (r == 0)
        r = give_layers(&making, err);
    if (r == 0)
        r = create(&making, err);
    if (r < 0)
        return r;
    int fd = sys_fsmount(making.fs_fd, 0, 0);
    if (fd < 0)
        return error_sys(err, -fd, "mount the layers of the root");
    *ret_fd = fd;
    return 0;
}

int overlay_mount(const struct overlay_mount *mount, int *ret_fd, struct error *err)
{
    return mount->layers->by_path ? overlay_mount_by_path(mount, ret_fd, err)
                                  : mount_by_descriptor(mount, ret_fd, err);
}

/* ---- the step -------------------------------------------------------------------------------- */

/* The id that is 0 inside, or where 0 is nobody, the first that is somebody. */
static int first_mapped(const struct id_maps *maps, uint32_t *ret)
{
    if (!maps->count)
        return -ENODATA;
    if (!id_maps_outside(maps, 0, ret))
        *ret = maps->items[0].outside;
    return 0;
}

/* The same of a user namespace that was there before. */
static int first_joined(pid_t child, const char *file, uint32_t *ret, struct error *err)
{
    char name[32];
    char text[128];
    uint32_t inside;

    snprintf(name, sizeof(name), "%d/%s", child, file);
    _cleanup_close_ int proc = sys_proc_open_shared(err);
    if (proc < 0)
        return proc;
    _cleanup_close_ int fd = sys_proc_open_at(proc, name, O_RDONLY);
    ssize_t length = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
    text[length > 0 ? length : 0] = '\0';
    if (sscanf(text, "%u %u", &inside, ret) != 2)
        return error_set(err, EIO, "read the %s of the user namespace that is joined", file);
    return 0;
}

static int find_owner(const struct overlay_step *args, pid_t child, struct overlay_mount *mount,
        struct error *err)
{
    int r = first_mapped(&args->uids, &mount->uid);

    if (r < 0)
        r = first_joined(child, "uid_map", &mount->uid, err);
    if (r == 0 && first_mapped(&args->gids, &mount->gid) < 0)
        r = first_joined(child, "gid_map", &mount->gid, err);
    return r;
}

static int step_apply(const struct step *step, struct plan_run *run, struct error *err)
{
    const struct overlay_step *args = step->args;
    _cleanup_close_ int userns = args->idmapped ? source_open_userns(run->child, err) : -1;

    if (args->idmapped && userns < 0)
        return userns;
    struct overlay_mount mount = {.layers = args->layers,
            .userns_fd = userns,
            .user_marks = args->user_marks,
            .label = args->label};
    int r = args->idmapped ? find_owner(args, run->child, &mount, err) : 0;
    return r < 0 ? r : overlay_mount(&mount, &run->fds[args->slot], err);
}

static void describe_folder(
        const struct overlay_step *args, const char *path, struct step_text *text)
{
    const char *quoted = step_quote(text->arena, path);

    if (!args->idmapped) {
        step_call(text, "openat2(AT_FDCWD, %s, {flags=O_PATH|O_DIRECTORY|O_CLOEXEC}, 24)", quoted);
        return;
    }
    step_call(text, "open_tree(AT_FDCWD, %s, OPEN_TREE_CLONE|OPEN_TREE_CLOEXEC)", quoted);
    step_call(text, "mount_setattr(<layers>, \"\", AT_EMPTY_PATH, {attr_set=MOUNT_ATTR_IDMAP, "
                    "attr_clr=0, propagation=0, userns_fd=<userns>}, 32)");
}

static void describe_layer(
        const struct overlay_step *args, const char *key, const char *path, struct step_text *text)
{
    const char *rest = behind_base(args->layers, path);

    if (rest)
        step_call(text,
                "openat2(<layers>, %s, {flags=O_PATH|O_DIRECTORY|O_CLOEXEC, "
                "resolve=RESOLVE_BENEATH}, 24)",
                step_quote(text->arena, rest));
    else
        describe_folder(args, path, text);
    step_call(text, "fsconfig(<fs>, FSCONFIG_SET_FD, \"%s\", NULL, <layer>)", key);
}

static void describe_memory(struct step_text *text)
{
    static const char *const parts[][2] = {{"upperdir", "upper"}, {"workdir", "work"}};

    overlay_memory_describe(text);
    for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
        step_call(text,
                "openat2(<memory>, \"%s\", {flags=O_PATH|O_DIRECTORY|O_CLOEXEC, "
                "resolve=RESOLVE_BENEATH}, 24)",
                parts[i][1]);
        step_call(text, "fsconfig(<fs>, FSCONFIG_SET_FD, \"%s\", NULL, <layer>)", parts[i][0]);
    }
}

static void describe_joined(const char *file, struct step_text *text)
{
    step_call(text, "openat2(AT_FDCWD, \"/proc\", {flags=O_PATH|O_DIRECTORY|O_CLOEXEC}, 24)");
    step_call(text, "openat2(<proc>, \"<child>/%s\", {flags=O_RDONLY|O_CLOEXEC, resolve=%s}, 24)",
            file, SYS_PROC_RESOLVE_TEXT);
}

/* The ids that overlayfs works as, as text. */
static struct overlay_ids describe_owner(const struct overlay_step *args, struct arena *arena)
{
    struct overlay_ids ids = {"<uid>", "<gid>"};
    uint32_t id;

    if (first_mapped(&args->uids, &id) == 0)
        ids.uid = arena_printf(arena, "%u", id);
    if (first_mapped(&args->gids, &id) == 0)
        ids.gid = arena_printf(arena, "%u", id);
    return ids;
}

static void describe_userns(const struct overlay_step *args, struct step_text *text)
{
    source_describe_userns(text);
    if (!args->uids.count)
        describe_joined("uid_map", text);
    if (!args->gids.count)
        describe_joined("gid_map", text);
}

/* ids: of the sandbox's root, when the layers are mapped. */
static void describe_calls(
        const struct overlay_step *args, const struct overlay_ids *ids, struct step_text *text)
{
    const struct rootfs_overlay *layers = args->layers;
    const char *path;

    step_call(text, "fsopen(\"overlay\", FSOPEN_CLOEXEC)");
    if (layers->base)
        describe_folder(args, layers->base, text);
    strv_foreach (path, &layers->lower) {
        describe_layer(args, "lowerdir+", path, text);
    }
    if (layers->upper && layers->in_memory) {
        describe_memory(text);
    } else if (layers->upper) {
        describe_layer(args, "upperdir", layers->upper, text);
        describe_layer(args, "workdir", layers->work, text);
    }
    for (size_t i = 0; i < (args->user_marks ? 1 : ARRAY_SIZE(options)); i++)
        step_call(text, "fsconfig(<fs>, FSCONFIG_SET_STRING, \"%s\", \"%s\", 0)", options[i].key,
                options[i].value);
    if (layers->passing && layers->upper)
        step_call(text, "fsconfig(<fs>, FSCONFIG_SET_FLAG, \"volatile\", NULL, 0)");
    if (args->user_marks)
        step_call(text, "fsconfig(<fs>, FSCONFIG_SET_FLAG, \"userxattr\", NULL, 0)");
    if (args->label)
        step_call(text, "fsconfig(<fs>, FSCONFIG_SET_STRING, \"context\", %s, 0)",
                step_quote(text->arena, args->label));
    if (ids)
        overlay_describe_become(ids, text);
    step_call(text, "fsconfig(<fs>, FSCONFIG_CMD_CREATE, NULL, NULL, 0)");
    if (ids)
        overlay_describe_return(text);
    step_call(text, "fsmount(<fs>, FSMOUNT_CLOEXEC, 0)");
}

static void step_describe(const struct step *step, struct step_text *text)
{
    const struct overlay_step *args = step->args;
    const struct overlay_ids owner = describe_owner(args, text->arena);
    const struct overlay_ids *ids = args->idmapped ? &owner : NULL;

    if (args->idmapped)
        describe_userns(args, text);
    if (args->layers->by_path)
        overlay_path_describe(args->layers, ids, args->user_marks, args->label, text);
    else
        describe_calls(args, ids, text);
    step_why(text,
            "the root: %zu layer%s that others may share, and what the sandbox changes%s above "
            "them%s",
            args->layers->lower.count, args->layers->lower.count == 1 ? "" : "s",
            !args->layers->upper      ? " (nothing)"
            : args->layers->in_memory ? " (in memory, and gone with it)"
                                      : "",
            args->idmapped ? ", all with their owners shifted into its ids" : "");
}

static const struct step_ops overlay_ops = {
        "overlay", "fsopen(2)", step_apply, NULL, step_describe, NULL};

void overlay_add(struct plan *plan, enum step_place place, const struct overlay_step *step)
{
    struct overlay_step *args = arena_new(plan->arena, struct overlay_step);

    *args = *step;
    plan_add(plan, place, &overlay_ops, "/root/path", args);
}
