#include "engine/volume.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/path.h"
#include "base/recordfile.h"
#include "base/str.h"
#include "engine/events.h"
#include "engine/records.h"

#define FOLDER "volumes"
#define DATA "_data"
#define FILE_NAME "volume.json"
#define NAME_MAX_LENGTH 200

static const struct field fields[] = {
        FIELD_REQUIRED(struct volume, name, FIELD_STR),
        FIELD(struct volume, driver, FIELD_STR),
        FIELD(struct volume, created, FIELD_STR),
        FIELD(struct volume, anonymous, FIELD_BOOL),
        FIELD(struct volume, labels, FIELD_MAP),
        FIELD(struct volume, options, FIELD_MAP),
};
static const struct record record = RECORD(struct volume, fields);

/* ---- names and folders ----------------------------------------------------------------------- */

int volume_check_name(const char *name, struct error *err)
{
    if (!str_is_name(name, NAME_MAX_LENGTH))
        return error_set(err, EINVAL,
                "volume \"%.200s\": a name has up to %d letters, digits, \"_\", \".\" and \"-\", a "
                "letter or digit first",
                name, NAME_MAX_LENGTH);
    return 0;
}

const char *volume_path(struct engine *engine, const char *name)
{
    return arena_printf(engine->arena, "%s/" FOLDER "/%s/" DATA, engine->data_root, name);
}

/* The folder of all volumes, locked: nobody else makes or removes one meanwhile. */
int volumes_lock(struct engine *engine, int *ret_folder, struct error *err)
{
    const char *path = path_join(engine->arena, engine->data_root, FOLDER);
    int r = io_make_dirs_at(AT_FDCWD, path, 0711);

    if (r < 0)
        return error_sys(err, -r, "make the folder of volumes %s", path);
    _cleanup_close_ int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return error_sys(err, errno, "open the folder of volumes %s", path);
    do
        r = flock(fd, LOCK_EX);
    while (r < 0 && errno == EINTR);
    if (r < 0)
        return error_sys(err, errno, "lock the folder of volumes %s", path);
    *ret_folder = take_fd(&fd);
    return 0;
}

/* ---- one volume ------------------------------------------------------------------------------ */

static int load(struct engine *engine, int folder, const char *name, struct volume *ret)
{
    char path[300];

    snprintf(path, sizeof(path), "%s/" FILE_NAME, name);
    if (faccessat(folder, path, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
        return -errno;
    int r = recordfile_load(folder, path, &record, engine->arena, ret, NULL);
    if (r < 0)
        return r;
    ret->name = arena_strdup(engine->arena, name);
    ret->path = volume_path(engine, ret->name);
    return 0;
}

static void tell(const struct engine *engine, const char *name, const char *action)
{
    const struct event event = {.type = "volume", .action = action, .id = name, .name = name};

    event_add(engine->store.root, &event);
}

/* volume.json comes last: without it there is none. */
static int make(struct engine *engine, int folder, const struct volume *volume, struct error *err)
{
    struct volume written = *volume;
    char path[300];

    if (!written.driver)
        written.driver = "local";
    written.created = container_now_text(engine->arena);
    snprintf(path, sizeof(path), "%s/" DATA, volume->name);
    int r = io_make_dirs_at(folder, path, 0755);
    snprintf(path, sizeof(path), "%s/" FILE_NAME, volume->name);
    if (r == 0)
        r = recordfile_save(folder, path, &record, &written, RECORDFILE_DURABLE);
    if (r < 0)
        return error_sys(err, -r, "make the volume \"%s\"", volume->name);
    tell(engine, volume->name, "create");
    return 0;
}

static bool is_option(const char *key)
{
    return str_equal(key, "type") || str_equal(key, "device") || str_equal(key, "o");
}

int volume_ensure(
        struct engine *engine, int folder, const char *name, bool anonymous, struct error *err)
{
    const struct volume wanted = {.name = name, .anonymous = anonymous};
    struct volume found;
    int r = volume_check_name(name, err);

    if (r == 0 && load(engine, folder, name, &found) < 0)
        r = make(engine, folder, &wanted, err);
    return r;
}

int volume_create(struct engine *engine, const struct volume *volume, struct error *err)
{
    _cleanup_close_ int folder = -1;
    struct volume found;
    int r = volume_check_name(volume->name, err);

    for (size_t i = 0; i < volume->options.count && r == 0; i++)
        if (!is_option(volume->options.items[i].key))
            r = error_set(err, EINVAL,
                    "volume \"%s\": there is no option \"%.64s\", only type, "
                    "device and o",
                    volume->name, volume->options.items[i].key);
    if (r == 0)
        r = volumes_lock(engine, &folder, err);
    if (r < 0)
        return r;
    if (load(engine, folder, volume->name, &found) == 0)
        return error_set(err, EEXIST, "there is a volume \"%s\" already", volume->name);
    return make(engine, folder, volume, err);
}

int volume_find(struct engine *engine, const char *name, struct volume *ret, struct error *err)
{
    const char *path = path_join(engine->arena, engine->data_root, FOLDER);
    int r = volume_check_name(name, err);

    if (r < 0)
        return r;
    _cleanup_close_ int folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    r = folder < 0 ? -errno : load(engine, folder, name, ret);
    if (r == -ENOENT)
        return error_set(err, ENOENT, "no such volume: \"%s\"; `viv volume ls` lists them", name);
    return r < 0 ? error_sys(err, -r, "read the volume \"%s\"", name) : 0;
}

int volume_list(struct engine *engine, struct strv *ret, struct error *err)
{
    const char *path = path_join(engine->arena, engine->data_root, FOLDER);
    struct strv all = {0};
    const char *name;
    _cleanup_close_ int folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (folder < 0)
        return errno == ENOENT ? 0 : error_sys(err, errno, "open %s", path);
    const struct store store = {.fd = folder, .root = (char *)(uintptr_t)path};
    int r = store_list(&store, engine->arena, &all, err);
    strv_foreach (name, &all) {
        struct volume volume;
        if (load(engine, folder, name, &volume) == 0)
            strv_add(engine->arena, ret, name);
    }
    return r;
}

/* ---- who uses it ----------------------------------------------------------------------------- */

static bool uses(const struct sandbox_meta *meta, const char *name)
{
    for (size_t i = 0; i < meta->volumes.count; i++)
        if (str_equal(meta->volumes.items[i].name, name))
            return true;
    return false;
}

/* What a sandbox of this name asked for, dead or alive; nothing is tidied up on the way. */
static int load_meta(struct engine *engine, const char *name, struct sandbox_meta *ret)
{
    struct container container;
    _cleanup_close_ int record_fd = -1;
    int r = record_open(engine, name, &record_fd, NULL);

    if (r == 0)
        return sandbox_meta_load(record_fd, engine->arena, ret, NULL);
    r = container_open(&engine->store, name, engine->arena, &container, NULL);
    if (r == 0) {
        r = sandbox_meta_load(container.dir_fd, engine->arena, ret, NULL);
        container_close(&container);
    }
    return r;
}

int volume_users(struct engine *engine, const char *name, struct strv *ret, struct error *err)
{
    struct strv names = {0};
    const char *sandbox;
    int r = record_list(engine, &names, err);

    if (r < 0)
        return r;
    strv_foreach (sandbox, &names) {
        _cleanup_arena_ struct arena arena = {0};
        struct sandbox_meta meta = {0};
        struct engine view = *engine;
        view.arena = &arena;
        if (load_meta(&view, sandbox, &meta) == 0 && uses(&meta, name))
            strv_add(engine->arena, ret, sandbox);
    }
    return 0;
}

/* ---- going ----------------------------------------------------------------------------------- */

static int in_use(
        const char *name, const struct strv *users, struct arena *arena, struct error *err)
{
    return error_set(err, EBUSY,
            "volume \"%s\" is in use by %s: remove what uses it first (viv rm), or use "
            "viv volume rm -f",
            name, strv_join(arena, users, ", "));
}

int volume_remove(struct engine *engine, const char *name, struct error *err)
{
    _cleanup_close_ int folder = -1;
    struct strv users = {0};
    struct volume volume;
    int r = volume_find(engine, name, &volume, err);

    if (r == 0)
        r = volumes_lock(engine, &folder, err);
    if (r == 0)
        r = volume_users(engine, name, &users, err); /* now that nobody can begin to use it */
    if (r < 0)
        return r;
    if (users.count)
        return in_use(name, &users, engine->arena, err);
    r = io_remove_tree_at(folder, name);
    if (r < 0)
        return error_sys(err, -r, "remove the volume \"%s\"", name);
    tell(engine, name, "destroy");
    return 0;
}

void volumes_drop(struct engine *engine, const struct sandbox_meta *meta)
{
    for (size_t i = 0; i < meta->volumes.count; i++)
        if (meta->volumes.items[i].anonymous)
            volume_remove(engine, meta->volumes.items[i].name, NULL);
}
