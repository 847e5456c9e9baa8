#include "engine/volumes.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "engine/root.h"
#include "rootfs/copyup.h"
#include "rootfs/inroot.h"
#include "rootfs/options.h"
#include "spec/defaults.h"

/* ---- without its users ----------------------------------------------------------------------- */

/* Those that run keep it. */
static int remove_users(
        struct engine *engine, const char *name, const struct strv *users, struct error *err)
{
    const char *user;
    int r = 0;

    strv_foreach (user, users) {
        if (r == 0)
            r = engine_remove(engine, user, &(struct engine_removal){0}, err);
        if (r == -ENOENT)
            r = 0; /* a dead one with --rm, which went as it was looked at */
    }
    return r < 0 ? error_prefix(err, "volume \"%s\"", name) : 0;
}

/* The dead among its users that were run with --rm go as they are looked at. */
static void look_at(struct engine *engine, const struct strv *users)
{
    const char *user;

    strv_foreach (user, users) {
        _cleanup_sandbox_ struct sandbox sandbox = {.record_fd = -1};
        engine_find(engine, user, &sandbox, NULL);
    }
}

int volume_remove_with_users(struct engine *engine, const char *name, bool force, struct error *err)
{
    struct strv users = {0};
    struct volume volume;
    int r = volume_find(engine, name, &volume, err);

    if (r == -ENOENT && force)
        return 0;
    if (r == 0)
        r = volume_users(engine, name, &users, err);
    if (r == 0 && force)
        r = remove_users(engine, name, &users, err);
    else if (r == 0)
        look_at(engine, &users);
    return r < 0 ? r : volume_remove(engine, name, err);
}

/* ---- in a sandbox ---------------------------------------------------------------------------- */

int volumes_make(struct engine *engine, const struct sandbox_meta *meta, struct error *err)
{
    _cleanup_close_ int folder = -1;
    int r = meta->volumes.count ? volumes_lock(engine, &folder, err) : 0;

    for (size_t i = 0; i < meta->volumes.count && r == 0; i++)
        r = volume_ensure(
                engine, folder, meta->volumes.items[i].name, meta->volumes.items[i].anonymous, err);
    return r;
}

static const char *option_of(const struct volume *volume, const char *key)
{
    for (size_t i = 0; i < volume->options.count; i++)
        if (str_equal(volume->options.items[i].key, key))
            return volume->options.items[i].value;
    return NULL;
}

static bool is_empty(int dir_fd)
{
    struct strv names = {0};
    _cleanup_arena_ struct arena arena = {0};
    _cleanup_closedir_ DIR *dir = fdopendir(fcntl(dir_fd, F_DUPFD_CLOEXEC, 3));
    struct dirent *entry;

    while (dir && (entry = readdir(dir)))
        if (!str_equal(entry->d_name, ".") && !str_equal(entry->d_name, ".."))
            strv_add(&arena, &names, entry->d_name);
    return dir && names.count == 0;
}

/* What the root has at the place, copied into a volume that has nothing yet; the directory's own
 * mode and owner too. */
static int fill(struct engine *engine, const struct sandbox_meta *meta, const struct spec *spec,
        const struct sandbox_volume *use, struct error *err)
{
    _cleanup_close_ int root = -1;
    struct stat st;
    _cleanup_close_ int to =
            open(volume_path(engine, use->name), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    if (to < 0)
        return error_sys(err, errno, "open the volume \"%s\"", use->name);
    if (!is_empty(to))
        return 0;
    int r = engine_root_open(engine, meta, spec, &root, err);
    if (r < 0)
        return r;
    _cleanup_close_ int from =
            inroot_open(root, use->destination, INROOT_MUST_EXIST, INROOT_FOLLOW, NULL);
    if (from < 0 || fstat(from, &st) < 0 || !S_ISDIR(st.st_mode))
        return 0; /* the root has nothing there */
    r = copyup(from, to, err);
    if (r < 0)
        return error_prefix(err, "fill the volume \"%s\"", use->name);
    return fchmod(to, st.st_mode & 07777) < 0 ? error_sys(err, errno, "chmod") : 0;
}

/* A volume with a type of its own is mounted as mount(8) would; others are bound. */
static int add_mount(struct engine *engine, const struct sandbox_volume *use,
        const struct volume *volume, struct spec *spec)
{
    struct arena *arena = engine->arena;
    const char *type = option_of(volume, "type");
    const char *device = option_of(volume, "device");
    const char *words = option_of(volume, "o");
    struct strv options = {0};
    const char *word;

    if (words)
        strv_split(arena, &options, words, ',');
    bool bind = !type || strv_contains(&options, "bind") || strv_contains(&options, "rbind");
    if (bind && !strv_contains(&options, "bind"))
        strv_add(arena, &options, "rbind");
    strv_foreach (word, &use->options) {
        strv_add(arena, &options, word);
    }
    spec_add_mount(arena, spec, use->destination, bind ? "bind" : type,
            bind ? (device ? device : volume_path(engine, use->name)) : (device ? device : type),
            strv_join(arena, &options, ","));
    return 0;
}

int volumes_mount(struct engine *engine, const struct sandbox_meta *meta, struct spec *spec,
        bool take, struct error *err)
{
    int r = take ? volumes_make(engine, meta, err) : 0;

    for (size_t i = 0; i < meta->volumes.count && r == 0; i++) {
        const struct sandbox_volume *use = &meta->volumes.items[i];
        struct volume volume = {0};
        if (take)
            r = volume_find(engine, use->name, &volume, err);
        else
            volume_find(engine, use->name, &volume, NULL); /* it need not be there yet */
        if (r == 0 && take && use->copy && !volume.options.count)
            r = fill(engine, meta, spec, use, err);
        if (r == 0)
            r = add_mount(engine, use, &volume, spec);
    }
    return r;
}

/* ---- while it does not run ------------------------------------------------------------------- */

static const char *subdir_of(const struct sandbox_volume *use)
{
    const char *word;

    strv_foreach (word, &use->options) {
        if (str_starts(word, MOUNT_SUBDIR))
            return str_after(word, MOUNT_SUBDIR);
    }
    return "/";
}

int volumes_open(struct engine *engine, const struct sandbox_volume *use, bool write, int *ret,
        struct error *err)
{
    struct volume volume = {0};
    int r = volume_find(engine, use->name, &volume, err);

    if (r < 0)
        return r;
    if (volume.options.count)
        return error_set(err, EOPNOTSUPP,
                "volume \"%s\", at %s, is mounted while the sandbox runs alone", use->name,
                use->destination);
    if (write && (strv_contains(&use->options, "ro") || strv_contains(&use->options, "rro")))
        return error_set(err, EROFS, "volume \"%s\", at %s, is read-only in the sandbox", use->name,
                use->destination);
    _cleanup_close_ int folder = open(volume.path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (folder < 0)
        return error_sys(err, errno, "open the volume \"%s\"", use->name);
    int fd = inroot_open(folder, subdir_of(use), INROOT_MUST_EXIST, INROOT_FOLLOW, NULL);
    if (fd < 0)
        return error_sys(err, -fd, "open %s in the volume \"%s\"", subdir_of(use), use->name);
    *ret = fd;
    return 0;
}
