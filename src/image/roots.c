#include "image/roots.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/path.h"
#include "base/recordfile.h"
#include "image/content.h"
#include "image/disk.h"
#include "image/ensure.h"
#include "image/shelf.h"

#define ID_MAX 200
#define PATH_SIZE 320

static const struct field root_fields[] = {
        FIELD(struct root_info, folder, FIELD_STR),
        FIELD(struct root_info, image, FIELD_STR),
        FIELD(struct root_info, manifest, FIELD_STR),
        FIELD(struct root_info, blobs, FIELD_STRV),
        FIELD(struct root_info, layers, FIELD_STRV),
};
static const struct record root_record = RECORD(struct root_info, root_fields);

int root_path(const char *id, const char *tail, char *path, size_t size, struct error *err)
{
    size_t length = strlen(id);

    if (length == 0 || length > ID_MAX || id[0] == '.' || strchr(id, '/'))
        return error_set(err, EINVAL, "\"%s\" cannot be the id of a root", id);
    snprintf(path, size, "roots/%s%s", id, tail);
    return 0;
}

int root_load(struct image_store *store, const char *id, struct arena *arena, struct root_info *ret,
        struct error *err)
{
    _cleanup_json_ struct json_object *json = NULL;
    struct record_report report = {.arena = arena};
    struct root_info info = {0};
    struct error reason = ERROR_NONE;
    char path[PATH_SIZE];

    int r = root_path(id, "/info", path, sizeof(path), err);
    if (r == 0) {
        r = json_parse_file_at(store->root_fd, path, &json, &reason);
        if (r == -ENOENT)
            return error_set(err, ENOENT, "there is no root \"%s\" in %s", id, store->options.root);
        if (r < 0)
            return error_set(err, -r, "%s/%s", store->options.root, reason.text);
        record_read(&root_record, json, "", &info, &report);
        r = record_error(&report, path, err);
    }
    bool whole = info.folder || (info.image && info.manifest);
    if (r == 0 && (info.blobs.count != info.layers.count || !whole))
        r = error_set(err, EINVAL, "%s/%s: damaged", store->options.root, path);
    if (r == 0)
        *ret = info;
    return r;
}

int root_list(struct image_store *store, struct arena *arena, struct strv *ret, struct error *err)
{
    int fd = openat(store->root_fd, "roots", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    _cleanup_closedir_ DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    struct dirent *entry;

    *ret = (struct strv){0};
    if (!dir)
        return error_sys(err, errno, "open %s/roots", store->options.root);
    while ((entry = readdir(dir)))
        if (entry->d_name[0] != '.')
            strv_add(arena, ret, entry->d_name);
    return 0;
}

int root_open_upper(struct image_store *store, const char *id, struct error *err)
{
    char path[PATH_SIZE];

    int r = root_path(id, "/upper", path, sizeof(path), err);
    if (r < 0)
        return r;
    int fd = openat(store->root_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 ? error_sys(err, errno, "open %s/%s", store->options.root, path) : fd;
}

const char *root_using(struct image_store *store, const char *image, struct arena *arena)
{
    struct strv ids;
    const char *id;

    if (root_list(store, arena, &ids, NULL) < 0)
        return NULL;
    strv_foreach (id, &ids) {
        struct root_info info;
        if (root_load(store, id, arena, &info, NULL) == 0 && str_equal(info.image, image))
            return id;
    }
    return NULL;
}

/* The paths of a root whose info is known. */
static void describe(const char *store_root, const char *id, const struct root_info *info,
        struct arena *arena, struct image_root *ret)
{
    struct image_root root = {
            .id = arena_strdup(arena, id), .image = arena_strdup(arena, info->image)};

    if (info->folder)
        strv_add(arena, &root.lower, info->folder);
    for (size_t i = info->layers.count; i-- > 0;) {
        char path[SHELF_PATH_SIZE];
        shelf_path(info->layers.words[i], "/diff", path);
        strv_add(arena, &root.lower, path_join(arena, store_root, path));
    }
    root.upper = arena_printf(arena, "%s/roots/%s/upper", store_root, id);
    root.work = arena_printf(arena, "%s/roots/%s/work", store_root, id);
    root.merged = arena_printf(arena, "%s/roots/%s/merged", store_root, id);
    root.base = store_root;
    *ret = root;
}

static int ensure_layers(struct image_store *store, const struct root_info *info, struct error *err)
{
    int r = 0;

    for (size_t i = 0; i < info->layers.count && r == 0; i++)
        r = ensure_layer(store, info->blobs.words[i], info->layers.words[i], err);
    return r;
}

/* The root folder of the top layer gives the upper one its owner and mode: it is "/" to come. */
static int copy_root_mode(
        struct image_store *store, const struct root_info *info, int upper, struct error *err)
{
    char path[SHELF_PATH_SIZE];
    const char *top = path;
    struct stat st;

    if (info->folder)
        top = info->folder;
    else if (info->layers.count)
        shelf_path(info->layers.words[info->layers.count - 1], "/diff", path);
    else
        return 0;
    if (fstatat(store->root_fd, top, &st, 0) < 0)
        return error_sys(err, errno, "stat %s", top);
    bool own = geteuid() != 0 || fchown(upper, st.st_uid, st.st_gid) == 0;
    if (!own || fchmod(upper, st.st_mode & 07777) < 0)
        return error_sys(err, errno, "set the owner and mode of the root");
    return 0;
}

static int make_root(struct image_store *store, const char *path, const struct root_info *info,
        struct error *err)
{
    static const char *const parts[] = {"upper", "work", "merged"};
    const char *temporary;

    int r = store_make_folder(store, &temporary, err);
    if (r < 0)
        return r;
    _cleanup_close_ int fd = openat(store->root_fd, temporary, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fchmod(fd, 0711) < 0)
        r = error_sys(err, errno, "open %s/%s", store->options.root, temporary);
    for (size_t i = 0; i < ARRAY_SIZE(parts) && r == 0; i++)
        if (mkdirat(fd, parts[i], 0755) < 0)
            r = error_sys(err, errno, "make %s/%s/%s", store->options.root, temporary, parts[i]);
    if (r == 0) {
        _cleanup_close_ int upper = openat(fd, "upper", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        r = copy_root_mode(store, info, upper, err);
    }
    if (r == 0) {
        r = recordfile_save(fd, "info", &root_record, info, RECORDFILE_PRIVATE);
        r = r < 0 ? error_sys(err, -r, "write the info of a root") : 0;
    }
    if (r == 0 && renameat(store->root_fd, temporary, store->root_fd, path) < 0)
        r = errno == EEXIST || errno == ENOTEMPTY
                    ? error_set(err, EEXIST, "there is a root %s already", path)
                    : error_sys(err, errno, "rename to %s/%s", store->options.root, path);
    if (r < 0)
        io_remove_tree_at(store->root_fd, temporary);
    return store_advise(store, r, err);
}

/* What the root of an image is made of. */
static int inform(struct image_store *store, const char *image, struct arena *arena,
        struct root_info *ret, struct error *err)
{
    _cleanup_content_ struct content content = {0};
    struct catalog_image found;
    struct root_info info = {0};

    int r = content_find(store, image, arena, &found, &content, err);
    if (r < 0)
        return r;
    info.image = found.id;
    info.manifest = found.manifest;
    for (size_t i = 0; i < content.manifest.count; i++) {
        strv_add(arena, &info.blobs, content.manifest.items[i].digest);
        strv_add(arena, &info.layers, content.diff_ids[i]);
    }
    *ret = info;
    return 0;
}

int image_root_create(struct image_store *store, const struct image_base *base, const char *id,
        struct arena *arena, struct image_root *ret, struct error *err)
{
    struct root_info info = {.folder = base->folder};
    char path[PATH_SIZE];

    int r = root_path(id, "", path, sizeof(path), err);
    if (r == 0)
        r = store_use(store, err);
    if (r < 0)
        return r;
    if (!base->folder)
        r = inform(store, base->image, arena, &info, err);
    if (r == 0)
        r = ensure_layers(store, &info, err);
    if (r == 0)
        r = make_root(store, path, &info, err);
    if (r == 0)
        describe(store->options.root, id, &info, arena, ret);
    store_release(store);
    return r;
}

int image_root_foresee(struct image_store *store, const struct image_base *base, const char *id,
        struct arena *arena, struct image_root *ret, struct error *err)
{
    struct root_info info = {.folder = base->folder};
    int r = base->folder ? 0 : inform(store, base->image, arena, &info, err);

    if (r == 0)
        describe(store->options.root, id, &info, arena, ret);
    return r;
}

void image_root_foresee_on_folder(const char *store_root, const char *folder, const char *id,
        struct arena *arena, struct image_root *ret)
{
    describe(store_root, id, &(struct root_info){.folder = folder}, arena, ret);
}

int image_root_find(struct image_store *store, const char *id, struct arena *arena,
        struct image_root *ret, struct error *err)
{
    struct root_info info;

    int r = root_load(store, id, arena, &info, err);
    if (r == 0)
        r = store_use(store, err);
    if (r < 0)
        return r;
    r = ensure_layers(store, &info, err);
    store_release(store);
    if (r == 0)
        describe(store->options.root, id, &info, arena, ret);
    return r;
}

int image_root_disk(struct image_store *store, const char *id, const struct image_disk_maker *maker,
        struct image_disk *ret, struct error *err)
{
    _cleanup_arena_ struct arena arena = {0};
    struct root_info info;

    int r = root_load(store, id, &arena, &info, err);
    if (r == 0 && info.folder)
        r = error_set(
                err, EOPNOTSUPP, "root %s is laid upon %s, which may change", id, info.folder);
    if (r == 0)
        r = store_use(store, err);
    if (r < 0)
        return r;
    r = disk_take(store, &info.layers, maker, ret, err);
    store_release(store);
    return r;
}

int image_root_remove(struct image_store *store, const char *id, struct error *err)
{
    char path[PATH_SIZE];

    int r = root_path(id, "", path, sizeof(path), err);
    if (r == 0)
        r = store_use(store, err);
    if (r < 0)
        return r;
    const char *aside = store_temporary(store);
    if (renameat(store->root_fd, path, store->root_fd, aside) < 0)
        r = errno == ENOENT ? error_set(err, ENOENT, "there is no root \"%s\" in %s", id,
                                      store->options.root)
                            : error_sys(err, errno, "remove %s/%s", store->options.root, path);
    if (r == 0) {
        r = io_remove_tree_at(store->root_fd, aside);
        r = r < 0 ? error_sys(err, -r, "remove the root \"%s\"", id) : 0;
    }
    store_release(store);
    return r;
}
