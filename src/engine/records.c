#include "engine/records.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/path.h"
#include "engine/names.h"
#include "engine/root.h"

#define FOLDER "sandboxes"
#define IDS ".names"
#define NEW "new" /* the text of a mark: what it marks is new, and is removed with it */

/* The folder of the records; negative while nothing was ever kept. */
static int open_folder(struct engine *engine)
{
    const char *path = path_join(engine->arena, engine->data_root, FOLDER);
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    return fd < 0 ? -errno : fd;
}

static int make_folder(struct engine *engine, int *ret_fd, struct error *err)
{
    const char *path = path_join(engine->arena, engine->data_root, FOLDER);
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0 && errno == ENOENT && io_make_dirs_at(AT_FDCWD, path, 0700) == 0)
        fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return error_sys_hint(err, errno, "keep what outlives a reboot elsewhere with --data-root",
                "make the folder of records %s", path);
    *ret_fd = fd;
    return 0;
}

/* ---- ids ------------------------------------------------------------------------------------- */

void record_identify(struct engine *engine, struct sandbox_meta *meta)
{
    meta->id = name_new_id(engine->arena);
    meta->created = container_now_text(engine->arena);
    if (!meta->name)
        meta->name = sandbox_name_new(engine->arena, &engine->store);
}

static void add_id(int folder, const char *id, const char *name)
{
    char path[SANDBOX_ID_LENGTH + 16];

    snprintf(path, sizeof(path), IDS "/%s", id);
    if (symlinkat(name, folder, path) < 0 && errno == ENOENT && mkdirat(folder, IDS, 0700) == 0 &&
            symlinkat(name, folder, path) < 0)
        return; /* it is found by its name all the same */
}

static void drop_id(int folder, const char *id)
{
    char path[SANDBOX_ID_LENGTH + 16];

    if (!id || strlen(id) != SANDBOX_ID_LENGTH)
        return;
    snprintf(path, sizeof(path), IDS "/%s", id);
    unlinkat(folder, path, 0);
}

/* ---- taking a name --------------------------------------------------------------------------- */

static int taken(const char *name, struct error *err)
{
    return error_set(err, EEXIST,
            "--name %s: there is a sandbox of that name already; choose another name, or take "
            "that one away with `viv rm -f %s`",
            name, name);
}

static int reserve_run(
        struct engine *engine, const char *name, const char *text, int *ret, struct error *err)
{
    int r = store_reserve_as(&engine->store, name, text, ret, err);

    return r == -EEXIST ? taken(name, err) : r;
}

/* A folder of records without meta.json was never finished, and nobody is at it: this process has
 * the name in the store. */
static bool is_rest(int folder, const char *name)
{
    char path[300];

    snprintf(path, sizeof(path), "%s/meta.json", name);
    return faccessat(folder, path, F_OK, AT_SYMLINK_NOFOLLOW) < 0 && errno == ENOENT;
}

static int make_record(
        struct engine *engine, const struct sandbox_meta *meta, int *ret_fd, struct error *err)
{
    _cleanup_close_ int folder = -1;
    int r = make_folder(engine, &folder, err);

    if (r < 0)
        return r;
    if (mkdirat(folder, meta->name, 0700) < 0) {
        if (errno != EEXIST)
            return error_sys(err, errno, "make the record of sandbox \"%s\"", meta->name);
        if (!is_rest(folder, meta->name))
            return taken(meta->name, err);
    }
    _cleanup_close_ int fd =
            openat(folder, meta->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return error_sys(err, errno, "open the record of sandbox \"%s\"", meta->name);
    record_lock(fd);
    add_id(folder, meta->id, meta->name);
    *ret_fd = take_fd(&fd);
    return 0;
}

static int record_exists(struct engine *engine, const char *name)
{
    _cleanup_close_ int folder = open_folder(engine);

    return folder >= 0 && faccessat(folder, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0 &&
           !is_rest(folder, name);
}

int record_new(struct engine *engine, const struct sandbox_meta *meta, bool kept, int *ret_record,
        int *ret_run, struct error *err)
{
    _cleanup_close_ int run_fd = -1;
    int record = -1;
    int r = reserve_run(engine, meta->name, NEW, &run_fd, err);

    if (r < 0)
        return r;
    if (kept) {
        r = make_record(engine, meta, &record, err);
    } else if (record_exists(engine, meta->name)) {
        r = taken(meta->name, err);
    } else {
        record = openat(run_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        r = record < 0 ? error_sys(err, errno, "open the folder of \"%s\"", meta->name) : 0;
        record_lock(record);
        add_id(engine->store.fd, meta->id, meta->name);
    }
    if (r < 0) {
        store_remove(&engine->store, meta->name, NULL);
        return r;
    }
    *ret_record = record;
    *ret_run = take_fd(&run_fd);
    return 0;
}

int record_again(struct engine *engine, const struct sandbox_meta *meta, int *ret_record,
        int *ret_run, struct error *err)
{
    _cleanup_close_ int record = -1;
    int r = record_open(engine, meta->name, &record, err);

    if (r < 0)
        return r;
    record_lock(record);
    r = store_reserve_as(&engine->store, meta->name, "", ret_run, err);
    if (r < 0)
        return r;
    *ret_record = take_fd(&record);
    return 0;
}

int record_reserve_run(struct engine *engine, const char *name, int *ret_run, struct error *err)
{
    return store_reserve_as(&engine->store, name, "", ret_run, err);
}

/* ---- records that are there ------------------------------------------------------------------ */

int record_open(struct engine *engine, const char *name, int *ret_fd, struct error *err)
{
    _cleanup_close_ int folder = open_folder(engine);
    int r = store_check_id(name, err);

    if (r < 0)
        return r;
    int fd =
            folder < 0 ? -1 : openat(folder, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 && folder >= 0 && errno != ENOENT)
        return error_sys(err, errno, "open the record of sandbox \"%s\"", name);
    if (fd < 0)
        return error_set(err, ENOENT, "no such sandbox: \"%s\"; `viv ps -a` lists them", name);
    *ret_fd = fd;
    return 0;
}

const char *record_run_path(struct engine *engine, const char *name)
{
    _cleanup_free_ char *absolute = realpath(engine->store.root, NULL);

    return path_join(engine->arena, absolute ? absolute : engine->store.root, name);
}

int record_lock(int record_fd)
{
    int r;

    do
        r = flock(record_fd, LOCK_EX);
    while (r < 0 && errno == EINTR);
    return r < 0 ? -errno : 0;
}

int record_try_lock(int record_fd)
{
    return flock(record_fd, LOCK_EX | LOCK_NB) < 0 ? -errno : 0;
}

bool record_is_watched(int record_fd)
{
    if (flock(record_fd, LOCK_SH | LOCK_NB) < 0)
        return true;
    record_unlock(record_fd);
    return false;
}

void record_unlock(int record_fd)
{
    flock(record_fd, LOCK_UN);
}

int record_remove(
        struct engine *engine, const char *name, const char *id, bool kept, struct error *err)
{
    engine_root_drop(engine, id);
    if (!kept) {
        drop_id(engine->store.fd, id);
        return 0;
    }
    _cleanup_close_ int folder = open_folder(engine);
    if (folder < 0)
        return 0;
    int r = io_remove_tree_at(folder, name);
    if (r < 0)
        return error_sys(err, -r, "remove the record of sandbox \"%s\"", name);
    drop_id(folder, id);
    return 0;
}

void record_rename_id(int folder, const char *id, const char *new_name)
{
    char path[SANDBOX_ID_LENGTH + 16];
    char fresh[SANDBOX_ID_LENGTH + 32];

    if (!id || strlen(id) != SANDBOX_ID_LENGTH)
        return;
    snprintf(path, sizeof(path), IDS "/%s", id);
    snprintf(fresh, sizeof(fresh), IDS "/.%s.%d", id, getpid());
    if (symlinkat(new_name, folder, fresh) == 0 && renameat(folder, fresh, folder, path) < 0)
        unlinkat(folder, fresh, 0);
}

int record_rename(struct engine *engine, const char *name, const char *new_name, const char *id,
        struct error *err)
{
    _cleanup_close_ int folder = open_folder(engine);

    if (folder < 0)
        return error_sys(err, -folder, "open the folder of records");
    if (renameat2(folder, name, folder, new_name, RENAME_NOREPLACE) < 0)
        return errno == EEXIST
                       ? error_set(err, EEXIST, "there is a sandbox \"%s\" already", new_name)
                       : error_sys(err, errno, "rename %s to %s", name, new_name);
    record_rename_id(folder, id, new_name);
    return 0;
}

/* Links whose sandbox is gone. */
static void sweep_ids(struct engine *engine, int folder)
{
    _cleanup_arena_ struct arena arena = {0};
    const struct store store = {.fd = folder};
    struct strv ids = {0};
    char name[300];
    const char *id;

    store_list_folder(&store, IDS, &arena, &ids);
    strv_foreach (id, &ids) {
        char path[300];
        snprintf(path, sizeof(path), IDS "/%s", id);
        ssize_t length = readlinkat(folder, path, name, sizeof(name) - 1);
        if (length < 0)
            continue;
        name[length] = '\0';
        if (faccessat(folder, name, F_OK, AT_SYMLINK_NOFOLLOW) < 0 && errno == ENOENT) {
            engine_root_drop(engine, id);
            unlinkat(folder, path, 0);
        }
    }
}

void record_sweep(struct engine *engine)
{
    struct strv names = {0};
    const char *name;
    char text[16];

    store_list_abandoned(&engine->store, engine->arena, &names);
    strv_foreach (name, &names) {
        if (store_maker_text(&engine->store, name, text, sizeof(text)) == 0 && str_equal(text, NEW))
            record_remove(engine, name, NULL, true, NULL);
    }
}

void record_sweep_ids(struct engine *engine)
{
    _cleanup_close_ int folder = open_folder(engine);

    sweep_ids(engine, engine->store.fd);
    if (folder >= 0)
        sweep_ids(engine, folder);
}

/* ---- finding --------------------------------------------------------------------------------- */

static int compare_words(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

int record_list(struct engine *engine, struct strv *ret, struct error *err)
{
    _cleanup_close_ int folder = open_folder(engine);
    struct strv all = {0};
    int r = store_list(&engine->store, engine->arena, &all, err);

    if (r < 0)
        return r;
    if (folder >= 0) {
        const struct store records = {.fd = folder, .root = (char *)(uintptr_t)engine->data_root};
        r = store_list(&records, engine->arena, &all, err);
    }
    if (r < 0)
        return r;
    if (all.count)
        qsort(all.words, all.count, sizeof(char *), compare_words);
    for (size_t i = 0; i < all.count; i++)
        if (i == 0 || !str_equal(all.words[i], all.words[i - 1]))
            strv_add(engine->arena, ret, all.words[i]);
    return 0;
}

struct search {
    const char *word;
    const char *found;
    const char *second;
};

static void consider(struct search *search, const char *name)
{
    if (!search->found)
        search->found = name;
    else if (!str_equal(search->found, name))
        search->second = name;
}

/* Whole ids and starts of ids in one folder. */
static void search_ids(struct engine *engine, int folder, struct search *search)
{
    const struct store store = {.fd = folder};
    struct strv ids = {0};
    char path[300];
    char name[300];
    const char *id;

    if (strlen(search->word) == SANDBOX_ID_LENGTH)
        strv_add(engine->arena, &ids, search->word);
    else if (strlen(search->word) < SANDBOX_ID_LENGTH)
        store_list_folder(&store, IDS, engine->arena, &ids);
    strv_foreach (id, &ids) {
        if (!str_starts(id, search->word))
            continue;
        snprintf(path, sizeof(path), IDS "/%s", id);
        ssize_t length = readlinkat(folder, path, name, sizeof(name) - 1);
        if (length < 0)
            continue;
        name[length] = '\0';
        if (faccessat(folder, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
            consider(search, arena_strdup(engine->arena, name));
    }
}

int record_find(struct engine *engine, const char *word, const char **ret, struct error *err)
{
    _cleanup_close_ int folder = open_folder(engine);
    struct search search = {.word = word};
    struct strv names = {0};
    const char *name;

    search_ids(engine, engine->store.fd, &search);
    if (folder >= 0)
        search_ids(engine, folder, &search);
    if (!search.found) {
        int r = record_list(engine, &names, err);
        if (r < 0)
            return r;
        strv_foreach (name, &names) {
            if (str_starts(name, word))
                consider(&search, name);
        }
    }
    if (!search.found)
        return error_set(err, ENOENT, "no such sandbox: \"%s\"; `viv ps -a` lists them", word);
    if (search.second)
        return error_set(err, EEXIST,
                "\"%s\" is the start of several sandboxes (\"%s\", \"%s\" …): write more of it",
                word, search.found, search.second);
    *ret = search.found;
    return 0;
}

const char *record_name_of(struct arena *arena, int dir_fd)
{
    char link[64];
    char path[4200];

    snprintf(link, sizeof(link), "/proc/self/fd/%d", dir_fd);
    ssize_t length = readlink(link, path, sizeof(path) - 1);
    if (length <= 0)
        return NULL;
    path[length] = '\0';
    return str_ends(path, " (deleted)") ? NULL : arena_strdup(arena, path_base(path));
}
