#include "engine/root.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/json.h"
#include "base/path.h"
#include "engine/images.h"
#include "engine/rootless.h"
#include "engine/vm_upper.h"
#include "rootfs/layers.h"
#include "rootfs/overlay.h"
#include "rootfs/overlayupper.h"
#include "sys/mount.h"

static struct image_base base_of(const struct sandbox_meta *meta)
{
    return (struct image_base){.image = meta->image_id, .folder = meta->image_folder};
}

static bool is_layered(const struct sandbox_meta *meta)
{
    return meta->image_id || meta->image_folder;
}

const char *engine_root_folder(struct arena *arena, const struct rootfs_overlay *layers)
{
    const char *path = layers->base;

    while (path[1] && access(path, F_OK) < 0)
        path = path_dir(arena, path);
    return path;
}

/* What is taken away at the end can be kept in memory where the data root cannot hold it. */
static void describe(struct engine *engine, const struct sandbox_meta *meta,
        const struct image_root *root, struct rootfs_overlay *ret)
{
    *ret = (struct rootfs_overlay){
            .lower = root->lower,
            .upper = root->upper,
            .work = root->work,
            .base = root->base,
            .passing = meta->remove,
            .by_path = !overlay_by_descriptor(),
    };
    ret->in_memory = meta->remove && !overlay_can_keep(engine_root_folder(engine->arena, ret));
}

static int make_or_find(struct engine *engine, struct image_store *store,
        const struct sandbox_meta *meta, struct image_root *ret, bool *ret_made, struct error *err)
{
    const struct image_base base = base_of(meta);
    struct error reason = ERROR_NONE;
    int r = image_root_create(store, &base, meta->id, engine->arena, ret, &reason);

    *ret_made = r == 0;
    if (r < 0 && r != -EEXIST && err)
        *err = reason;
    if (r != -EEXIST)
        return r;
    return image_root_find(store, meta->id, engine->arena, ret, err);
}

/* What is there or would be; touches nothing. */
static int foresee(struct engine *engine, const struct sandbox_meta *meta, struct image_root *ret,
        struct error *err)
{
    const struct image_base base = base_of(meta);
    const char *id = meta->id ? meta->id : "new";
    struct image_store *store;

    if (base.folder) {
        image_root_foresee_on_folder(path_join(engine->arena, engine->data_root, "images"),
                base.folder, id, engine->arena, ret);
        return 0;
    }
    int r = engine_images(engine, NULL, &store, err);
    return r < 0 ? r : image_root_foresee(store, &base, id, engine->arena, ret, err);
}

static int take_root(struct engine *engine, const struct sandbox_meta *meta, struct image_root *ret,
        bool *ret_made, struct error *err)
{
    struct image_store *store;
    int r = engine_images(engine, NULL, &store, err);

    return r < 0 ? r : make_or_find(engine, store, meta, ret, ret_made, err);
}

int engine_root_take(struct engine *engine, const struct sandbox_meta *meta, struct spec *spec,
        bool take, const struct rootfs_overlay **ret, bool *ret_made, struct error *err)
{
    struct image_root root;
    bool made = false;

    *ret = NULL;
    *ret_made = false;
    if (!is_layered(meta))
        return 0;
    int r = take ? take_root(engine, meta, &root, &made, err) : foresee(engine, meta, &root, err);
    if (r < 0)
        return error_prefix(err, "the root");
    spec->root->path = root.merged;
    *ret_made = made;
    if (str_equal(meta->isolation, "vm")) {
        if (meta->image_folder)
            spec->root->path = meta->image_folder;
        return 0;
    }
    struct rootfs_overlay *overlay = arena_new(engine->arena, struct rootfs_overlay);
    describe(engine, meta, &root, overlay);
    *ret = overlay;
    return 0;
}

/* An ordinary user's sandbox may have files of ids that only it has a right over. */
static int empty_root(void *data, char *out, struct error *err)
{
    static const char *const parts[] = {"upper", "work"};
    const char *path = data;
    int r = 0;

    (void)out;
    _cleanup_close_ int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (size_t i = 0; i < ARRAY_SIZE(parts) && fd >= 0 && r == 0; i++)
        r = io_remove_tree_at(fd, parts[i]);
    return r < 0 ? error_sys(err, -r, "empty %s", path) : 0;
}

void engine_root_drop(struct engine *engine, const char *id)
{
    char out[ROOTLESS_OUT_MAX];

    char *path;
    struct image_store *store;

    if (!id)
        return;
    path = arena_printf(engine->arena, "%s/images/roots/%s", engine->data_root, id);
    if (access(path, F_OK) < 0 || engine_images(engine, NULL, &store, NULL) < 0)
        return;
    if (engine->host.rootless)
        rootless_call(engine->arena, &engine->host, empty_root, path, out, NULL);
    image_root_remove(store, id, NULL);
}

/* ---- looking in ------------------------------------------------------------------------------ */

static int find_root(struct engine *engine, const struct sandbox_meta *meta,
        struct rootfs_overlay *ret, struct error *err)
{
    struct image_root root;
    int r = foresee(engine, meta, &root, err);

    if (r == 0)
        describe(engine, meta, &root, ret);
    return r;
}

/* A regular file for reading, out of what layers_open() found; -1: there is none. */
static int open_file(const struct rootfs_overlay *layers, const char *path)
{
    char link[64];
    struct stat st;
    _cleanup_close_ int found = layers_open(layers, path);

    if (found < 0 || fstat(found, &st) < 0 || !S_ISREG(st.st_mode))
        return -1;
    snprintf(link, sizeof(link), "/proc/self/fd/%d", found);
    return open(link, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
}

static int user_of_layers(struct engine *engine, const struct sandbox_meta *meta, const char *user,
        struct passwd_user *ret, struct error *err)
{
    struct rootfs_overlay layers;
    int r = find_root(engine, meta, &layers, err);

    if (r < 0)
        return r;
    _cleanup_close_ int passwd = open_file(&layers, "etc/passwd");
    _cleanup_close_ int group = open_file(&layers, "etc/group");
    return passwd_lookup_files(passwd, group, user, engine->arena, ret, err);
}

int engine_root_user(struct engine *engine, const struct sandbox_meta *meta,
        const struct spec *spec, const char *user, struct passwd_user *ret, struct error *err)
{
    const char *path = spec->root->path;

    if (is_layered(meta))
        return user_of_layers(engine, meta, user, ret, err);
    if (path[0] != '/' && meta->bundle)
        path = path_join(engine->arena, meta->bundle, path);
    _cleanup_close_ int root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (root < 0)
        return error_sys(err, errno, "open the root file system %s", path);
    return passwd_lookup(root, user, engine->arena, ret, err);
}

static bool is_machine(const struct sandbox_meta *meta)
{
    return str_equal(meta->isolation, "vm");
}

/* Read-only: what the sandbox changed is only one more layer, and its own mount is undisturbed. */
static int mount_root(struct engine *engine, const struct sandbox_meta *meta, bool changed,
        int *ret_fd, struct error *err)
{
    struct rootfs_overlay layers;
    struct strv lower = {0};
    const char *path;
    int r = find_root(engine, meta, &layers, err);

    if (r < 0)
        return r;
    if (changed && is_machine(meta))
        r = vm_upper_settle(layers.upper, err);
    if (r < 0)
        return r;
    if (changed && access(layers.upper, F_OK) == 0)
        strv_add(engine->arena, &lower, layers.upper);
    strv_foreach (path, &layers.lower) {
        strv_add(engine->arena, &lower, path);
    }
    if (lower.count == 1) { /* overlayfs wants two, and one is as good as it is */
        r = sys_open_tree(AT_FDCWD, lower.words[0], OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
        if (r < 0)
            return error_sys(err, -r, "clone the mount of the layer %s", lower.words[0]);
        *ret_fd = r;
        return 0;
    }
    layers.lower = lower;
    layers.upper = layers.work = NULL;
    struct overlay_mount mount = {
            .layers = &layers, .userns_fd = -1, .user_marks = engine->host.rootless};
    return overlay_mount(&mount, ret_fd, err);
}

int engine_root_open(struct engine *engine, const struct sandbox_meta *meta,
        const struct spec *spec, int *ret_fd, struct error *err)
{
    const char *path = spec->root->path;

    if (is_layered(meta))
        return mount_root(engine, meta, true, ret_fd, err);
    if (path[0] != '/' && meta->bundle)
        path = path_join(engine->arena, meta->bundle, path);
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return error_sys(err, errno, "open the root file system %s", path);
    *ret_fd = fd;
    return 0;
}

int engine_root_open_image(
        struct engine *engine, const struct sandbox_meta *meta, int *ret_fd, struct error *err)
{
    return mount_root(engine, meta, false, ret_fd, err);
}

/* The mount is the sandbox's own, and nobody else can reach what it writes there. */
static int is_on_disk(struct engine *engine, const struct sandbox_meta *meta, struct error *err)
{
    struct rootfs_overlay layers;
    int r = is_layered(meta) ? find_root(engine, meta, &layers, err) : 0;

    if (r < 0 || !is_layered(meta) || !layers.in_memory)
        return r;
    return error_set(err, EOPNOTSUPP,
            "sandbox \"%s\" keeps what it changes in memory, since the data root is on a file "
            "system that cannot hold it: copy files out with `viv cp` while it runs, or choose "
            "another place with --data-root",
            meta->name);
}

int engine_root_is_here(struct engine *engine, const struct sandbox *sandbox, struct error *err)
{
    const struct sandbox_meta *meta = &sandbox->meta;
    struct image_root root;
    bool made;
    int r = is_machine(meta) ? vm_upper_is_kept(engine, meta, err) : is_on_disk(engine, meta, err);

    /* One that was never started has none yet; it goes with the sandbox. */
    return r == 0 && is_layered(meta) ? take_root(engine, meta, &root, &made, err) : r;
}

/* What the configuration says about the root. */
static int load_root(struct engine *engine, const struct sandbox *sandbox, struct spec_root *ret,
        struct error *err)
{
    _cleanup_json_ struct json_object *json = NULL;
    int r = engine_root_is_here(engine, sandbox, err);

    if (r == 0)
        r = json_parse_file_at(sandbox->record_fd, "config.json", &json, err);
    if (r < 0)
        return r;
    const char *path = json_get_str(json_get(json, "root"), "path");
    *ret = (struct spec_root){.path = arena_strdup(engine->arena, path ? path : "")};
    ret->readonly = json_object_get_boolean(json_get(json_get(json, "root"), "readonly"));
    return 0;
}

int engine_root_open_of(
        struct engine *engine, const struct sandbox *sandbox, int *ret_fd, struct error *err)
{
    struct spec_root root = {0};
    struct spec spec = {.root = &root};
    int r = load_root(engine, sandbox, &root, err);

    return r < 0 ? r : engine_root_open(engine, &sandbox->meta, &spec, ret_fd, err);
}

static int mount_to_write(
        struct engine *engine, const struct sandbox_meta *meta, int *ret_fd, struct error *err)
{
    struct rootfs_overlay layers;
    struct image_root root;
    bool made;
    int r = take_root(engine, meta, &root, &made, err);

    if (r < 0)
        return error_prefix(err, "the root");
    describe(engine, meta, &root, &layers);
    if (is_machine(meta)) {
        r = vm_upper_prepare(engine->arena, root.upper, err);
        if (r >= 0)
            r = r == 0 ? vm_upper_is_kept(engine, meta, err) : vm_upper_settle(root.upper, err);
    }
    if (r < 0)
        return r;
    layers.passing = false; /* a volatile upper folder can be mounted once only */
    struct overlay_mount mount = {
            .layers = &layers, .userns_fd = -1, .user_marks = engine->host.rootless};
    return overlay_mount(&mount, ret_fd, err);
}

int engine_root_open_to_write(
        struct engine *engine, const struct sandbox *sandbox, int *ret_fd, struct error *err)
{
    struct spec_root root = {0};
    struct spec spec = {.root = &root};
    int r = load_root(engine, sandbox, &root, err);

    if (r == 0 && root.readonly)
        r = error_set(err, EROFS, "the root of sandbox \"%s\" is read-only (--read-only)",
                sandbox->meta.name);
    if (r < 0)
        return r;
    return is_layered(&sandbox->meta)
                   ? mount_to_write(engine, &sandbox->meta, ret_fd, err)
                   : engine_root_open(engine, &sandbox->meta, &spec, ret_fd, err);
}
