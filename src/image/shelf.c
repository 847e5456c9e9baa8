#include "image/shelf.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/record.h"
#include "base/recordfile.h"
#include "image/blobs.h"

static const struct field info_fields[] = {
        FIELD(struct shelf_info, boot, FIELD_STR),
        FIELD(struct shelf_info, tar_bytes, FIELD_U64),
        FIELD(struct shelf_info, bytes, FIELD_U64),
        FIELD(struct shelf_info, entries, FIELD_U64),
};
static const struct record info_record = RECORD(struct shelf_info, info_fields);

void shelf_path(const char *diff_id, const char *tail, char path[SHELF_PATH_SIZE])
{
    const char *hex = strchr(diff_id, ':');

    snprintf(path, SHELF_PATH_SIZE, "layers/%s%s", hex ? hex + 1 : diff_id, tail);
}

bool shelf_has(
        struct image_store *store, const char *diff_id, struct arena *arena, struct shelf_info *ret)
{
    _cleanup_json_ struct json_object *json = NULL;
    struct record_report report = {.arena = arena};
    struct shelf_info info = {0};
    char path[SHELF_PATH_SIZE];

    shelf_path(diff_id, "/info", path);
    if (!ret)
        return faccessat(store->root_fd, path, F_OK, 0) == 0;
    if (json_parse_file_at(store->root_fd, path, &json, NULL) < 0)
        return false;
    record_read(&info_record, json, "", &info, &report);
    if (report.faults.count)
        return false;
    *ret = info;
    return true;
}

struct layer_options shelf_options(const struct image_store *store)
{
    return (struct layer_options){
            .owners_ignored = store->options.owners_ignored, .user_marks = store->user_marks};
}

int shelf_prepare(
        struct image_store *store, const char **ret_path, int *ret_diff_fd, struct error *err)
{
    const char *path;

    int r = store_make_folder(store, &path, err);
    if (r < 0)
        return r;
    const char *diff = arena_printf(&store->arena, "%s/diff", path);
    if (fchmodat(store->root_fd, path, 0711, 0) < 0 || mkdirat(store->root_fd, diff, 0755) < 0)
        return error_sys(err, errno, "make %s/%s", store->options.root, diff);
    int fd = openat(store->root_fd, diff, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return error_sys(err, errno, "open %s/%s", store->options.root, diff);
    *ret_path = path;
    *ret_diff_fd = fd;
    return 0;
}

static int write_info(struct image_store *store, const char *path, const struct shelf_info *info,
        struct error *err)
{
    int r = recordfile_save(store->root_fd, path, &info_record, info, RECORDFILE_PRIVATE);

    if (r < 0)
        r = error_sys(err, -r, "write %s/%s", store->options.root, path);
    return store_advise(store, r, err);
}

int shelf_place(struct image_store *store, const char *path, const char *diff_id,
        const struct layer_result *result, struct error *err)
{
    struct shelf_info info = {store->boot, result->tar_bytes, result->bytes, result->entries};
    char to[SHELF_PATH_SIZE];

    int r = write_info(store, arena_printf(&store->arena, "%s/info", path), &info, err);
    if (r < 0)
        return r;
    shelf_path(diff_id, "", to);
    if (renameat(store->root_fd, path, store->root_fd, to) == 0)
        return 0;
    if (errno == EEXIST || errno == ENOTEMPTY) {
        io_remove_tree_at(store->root_fd, path);
        return 0;
    }
    return error_sys(err, errno, "rename %s to %s in %s", path, to, store->options.root);
}

int shelf_compare(
        struct image_store *store, const char *digest, const char *diff_id, struct error *err)
{
    _cleanup_arena_ struct arena arena = {0};
    struct layer_options options = shelf_options(store);
    struct layer_result result;
    struct shelf_info info;
    char path[SHELF_PATH_SIZE];

    if (!shelf_has(store, diff_id, &arena, &info))
        return error_set(err, EBADMSG, "layer %s is not unpacked", diff_id);
    _cleanup_close_ int blob = blob_open(store, digest, err);
    if (blob < 0)
        return blob;
    shelf_path(diff_id, "/diff", path);
    _cleanup_close_ int fd = openat(store->root_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return error_set(err, EBADMSG, "layer %s has no folder", diff_id);
    int r = layer_compare(blob, fd, &options, &result, err);
    if (r == 0) {
        int64_t count = layer_count(fd);
        if (count >= 0 && (uint64_t)count != info.entries)
            r = error_set(err, EBADMSG, "it has %lld files and folders, not %llu", (long long)count,
                    (unsigned long long)info.entries);
    }
    if (r < 0)
        return error_prefix(err, "layer %s", diff_id);
    info.boot = store->boot;
    shelf_path(diff_id, "/info", path);
    return write_info(store, path, &info, err);
}

int shelf_remove(struct image_store *store, const char *diff_id, struct error *err)
{
    const char *aside = store_temporary(store);
    char path[SHELF_PATH_SIZE];

    shelf_path(diff_id, "", path);
    if (renameat(store->root_fd, path, store->root_fd, aside) < 0)
        return errno == ENOENT ? 0 : error_sys(err, errno, "remove layer %s", diff_id);
    int r = io_remove_tree_at(store->root_fd, aside);
    return r < 0 ? error_sys(err, -r, "remove layer %s", diff_id) : 0;
}
