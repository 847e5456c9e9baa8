#include "engine/volumes.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/path.h"
#include "engine/events.h"
#include "engine/records.h"
#include "engine/root.h"
#include "rootfs/copyup.h"
#include "rootfs/inroot.h"
#include "spec/defaults.h"

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
    size_t length = strlen(name);
    bool good = length > 0 && length <= NAME_MAX_LENGTH && isalnum((unsigned char)name[0]);

    for (size_t i = 0; i < length && good; i++)
        good = isalnum((unsigned char)name[i]) || strchr("_.-", name[i]);
    if (!good)
        return error_set(err, EINVAL,
                "volume \"%.200s\": a name has up to %d letters, digits, \"_\", \".\" and \"-\", a "
                "letter or digit first",
                name, NAME_MAX_LENGTH);
    return 0;
}

const char *volume_new_name(struct arena *arena)
{
    unsigned char bytes[32];
    char *name = arena_alloc(arena, 2 * sizeof(bytes) + 1);

    for (size_t got = 0; got < sizeof(bytes);) {
        ssize_t more = getrandom(bytes + got, sizeof(bytes) - got, 0);
        if (more > 0)
            got += (size_t)more;
    }
    for (size_t i = 0; i < sizeof(bytes); i++)
        snprintf(name + 2 * i, 3, "%02x", bytes[i]);
    return name;
}

static const char *data_path(struct engine *engine, const char *name)
{
    return arena_printf(engine->arena, "%s/" FOLDER "/%s/" DATA, engine->data_root, name);
}

/* The folder of all volumes, locked: nobody else makes or removes one meanwhile. */
static int open_folder(struct engine *engine, int *ret_fd, struct error *err)
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
    *ret_fd = take_fd(&fd);
    return 0;
}

/* ---- one volume ------------------------------------------------------------------------------ */

static int load(struct engine *engine, int folder, const char *name, struct volume *ret)
{
    _cleanup_json_ struct json_object *json = NULL;
    struct record_report report = {.arena = engine->arena};
    char path[300];

    snprintf(path, sizeof(path), "%s/" FILE_NAME, name);
    if (faccessat(folder, path, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
        return -errno;
    int r = json_parse_file_at(folder, path, &json, NULL);
    if (r < 0)
        return r;
    *ret = (struct volume){0};
    record_read(&record, json, "", ret, &report);
    ret->name = arena_strdup(engine->arena, name);
    ret->path = data_path(engine, ret->name);
    return report.faults.count ? -EINVAL : 0;
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
    _cleanup_json_ struct json_object *json = record_write(&record, &written);
    const char *text = json_text(json);
    snprintf(path, sizeof(path), "%s/" DATA, volume->name);
    int r = io_make_dirs_at(folder, path, 0755);
    snprintf(path, sizeof(path), "%s/" FILE_NAME, volume->name);
    if (r == 0)
        r = io_replace_file_at(folder, path, text, strlen(text), 0600, true);
    if (r < 0)
        return error_sys(err, -r, "make the volume \"%s\"", volume->name);
    tell(engine, volume->name, "create");
    return 0;
}

static bool is_option(const char *key)
{
    return str_equal(key, "type") || str_equal(key, "device") || str_equal(key, "o");
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
        r = open_folder(engine, &folder, err);
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

int volume_users(struct engine *engine, const char *name, struct strv *ret, struct error *err)
{
    struct strv names = {0};
    const char *sandbox_name;
    int r = engine_list(engine, &names, err);

    if (r < 0)
        return r;
    strv_foreach (sandbox_name, &names) {
        _cleanup_arena_ struct arena arena = {0};
        _cleanup_sandbox_ struct sandbox sandbox = {.record_fd = -1};
        struct engine view = *engine;
        view.arena = &arena;
        if (engine_find(&view, sandbox_name, &sandbox, NULL) == 0 && uses(&sandbox.meta, name))
            strv_add(engine->arena, ret, sandbox.meta.name);
    }
    return 0;
}

static int in_use(
        const char *name, const struct strv *users, struct arena *arena, struct error *err)
{
    return error_set(err, EBUSY,
            "volume \"%s\" is in use by %s: remove what uses it first (viv rm), or use "
            "viv volume rm -f",
            name, strv_join(arena, users, ", "));
}

/* Those that run keep it. */
static int remove_users(
        struct engine *engine, const char *name, const struct strv *users, struct error *err)
{
    const char *user;
    int r = 0;

    strv_foreach (user, users) {
        if (r == 0)
            r = engine_remove(engine, user, &(struct engine_removal){0}, err);
    }
    return r < 0 ? error_prefix(err, "volume \"%s\"", name) : 0;
}

int volume_remove(struct engine *engine, const char *name, bool force, struct error *err)
{
    _cleanup_close_ int folder = -1;
    struct strv users = {0};
    struct volume volume;
    int r = volume_find(engine, name, &volume, err);

    if (r == -ENOENT && force)
        return 0;
    if (r == 0)
        r = volume_users(engine, name, &users, err);
    if (r == 0 && users.count && force)
        r = remove_users(engine, name, &users, err);
    if (r == 0)
        r = open_folder(engine, &folder, err);
    users = (struct strv){0};
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

/* ---- in a sandbox ---------------------------------------------------------------------------- */

int volumes_make(struct engine *engine, const struct sandbox_meta *meta, struct error *err)
{
    _cleanup_close_ int folder = -1;
    int r = meta->volumes.count ? open_folder(engine, &folder, err) : 0;

    for (size_t i = 0; i < meta->volumes.count && r == 0; i++) {
        const struct sandbox_volume *use = &meta->volumes.items[i];
        const struct volume wanted = {.name = use->name, .anonymous = use->anonymous};
        struct volume found;
        r = volume_check_name(use->name, err);
        if (r == 0 && load(engine, folder, use->name, &found) < 0)
            r = make(engine, folder, &wanted, err);
    }
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
            open(data_path(engine, use->name), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

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
            bind ? (device ? device : data_path(engine, use->name)) : (device ? device : type),
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

void volumes_drop(struct engine *engine, const struct sandbox_meta *meta)
{
    for (size_t i = 0; i < meta->volumes.count; i++)
        if (meta->volumes.items[i].anonymous)
            volume_remove(engine, meta->volumes.items[i].name, false, NULL);
}
