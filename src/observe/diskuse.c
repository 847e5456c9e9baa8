#include "observe/diskuse.h"

#include <fcntl.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "engine/snapshot.h"
#include "engine/volume.h"
#include "observe/format.h"
#include "observe/images.h"
#include "observe/listing.h"
#include "observe/table.h"

/* ---- what there is of each kind -------------------------------------------------------------- */

/* Of sandboxes, snapshots and volumes. */
struct use {
    uint64_t count, active;
    uint64_t bytes, free; /* on disk; of these, what could be given back */
};

/* What sandboxes have changed, and the snapshots of machines, which are kept in their records.
 * Those that are alive keep both: prune leaves them alone. */
static int use_of_sandboxes(struct engine *engine, struct image_store *store, struct use *changes,
        struct use *snapshots, struct error *err)
{
    struct strv names = {0};
    const char *name;
    int r = engine_list(engine, &names, err);

    strv_foreach (name, &names) {
        _cleanup_sandbox_ struct sandbox sandbox = {.record_fd = -1};
        if (engine_find(engine, name, &sandbox, NULL) < 0)
            continue; /* it went meanwhile */
        bool alive = sandbox_is_alive(&sandbox);
        uint64_t snapshot = sandbox_snapshot_size(sandbox.record_fd);
        changes->count++;
        changes->active += alive;
        snapshots->count += snapshot > 0;
        snapshots->active += snapshot > 0 && alive;
        snapshots->bytes += snapshot;
        snapshots->free += alive ? 0 : snapshot;
        uint64_t kept =
                alive && sandbox.meta.id ? image_root_disk_usage(store, sandbox.meta.id) : 0;
        changes->free -= kept < changes->free ? kept : changes->free;
    }
    return r;
}

/* One that something else is mounted for takes nothing here. */
static uint64_t volume_bytes(const struct volume *volume)
{
    return volume->options.count ? 0 : io_disk_usage_at(AT_FDCWD, volume->path);
}

static int use_of_volumes(struct engine *engine, struct use *ret, struct error *err)
{
    struct use use = {0};
    struct strv names = {0};
    const char *name;
    int r = volume_list(engine, &names, err);

    strv_foreach (name, &names) {
        struct volume volume;
        struct strv users = {0};
        if (volume_find(engine, name, &volume, NULL) < 0 ||
                volume_users(engine, name, &users, NULL) < 0)
            continue;
        uint64_t bytes = volume_bytes(&volume);
        use.count++;
        use.active += users.count > 0;
        use.bytes += bytes;
        use.free += users.count ? 0 : bytes;
    }
    *ret = use;
    return r;
}

/* ---- in a row for each kind ------------------------------------------------------------------ */

static const char usage_usual[] = "{{.Type}}\t{{.Total}}\t{{.Active}}\t{{.Size}}\t{{.Reclaimable}}";

static void add_use(struct arena *arena, struct json_object *rows, const char *what, struct use use)
{
    struct json_object *row = json_object_new_object();
    const char *part = arena_printf(arena, "%s (%u%%)", table_bytes(arena, use.free),
            use.bytes ? (unsigned)(use.free * 100 / use.bytes) : 0);

    json_add_str(row, "Type", what);
    json_object_object_add(row, "Total", json_object_new_uint64(use.count));
    json_object_object_add(row, "Active", json_object_new_uint64(use.active));
    json_add_str(row, "Size", table_bytes(arena, use.bytes));
    json_object_object_add(row, "Bytes", json_object_new_uint64(use.bytes));
    json_add_str(row, "Reclaimable", part);
    json_object_object_add(row, "ReclaimableBytes", json_object_new_uint64(use.free));
    json_object_array_add(rows, row);
}

int diskuse_print(struct engine *engine, struct image_store *store, const char *format, FILE *out,
        struct error *err)
{
    const struct format_list list = {usage_usual, NULL};
    _cleanup_arena_ struct arena arena = {0};
    _cleanup_json_ struct json_object *rows = json_object_new_array();
    struct image_usage usage;
    struct use snapshots = {0};
    struct use volumes;

    int r = image_usage(store, &usage, err);
    if (r < 0)
        return r;
    struct use sandboxes = {.bytes = usage.root_bytes, .free = usage.root_bytes};
    r = use_of_sandboxes(engine, store, &sandboxes, &snapshots, err);
    if (r == 0)
        r = use_of_volumes(engine, &volumes, err);
    if (r < 0)
        return r;
    add_use(&arena, rows, "Images",
            (struct use){
                    usage.images, usage.images_used, usage.image_bytes, usage.image_bytes_free});
    add_use(&arena, rows, "Sandboxes", sandboxes);
    add_use(&arena, rows, "Local Volumes", volumes);
    add_use(&arena, rows, "Snapshots", snapshots);
    add_use(&arena, rows, "Downloads",
            (struct use){0, 0, usage.partial_bytes, usage.partial_bytes});
    return format_print(&arena, format, &list, rows, out, err);
}

/* ---- in a row for each of them --------------------------------------------------------------- */

/* A layer, and how many images have it. */
struct share {
    const char *diff_id;
    uint64_t images;
};

static struct share *find_share(struct share *shares, size_t count, const char *diff_id)
{
    for (size_t i = 0; i < count; i++)
        if (str_equal(shares[i].diff_id, diff_id))
            return &shares[i];
    return NULL;
}

struct steps {
    struct image_step *items;
    size_t count;
};

/* The layers of all images, each once. */
static size_t count_shares(
        const struct steps *steps, size_t images, struct arena *arena, struct share **ret)
{
    size_t most = 0;
    size_t count = 0;

    for (size_t i = 0; i < images; i++)
        most += steps[i].count;
    *ret = arena_new_array(arena, struct share, most + 1);
    for (size_t i = 0; i < images; i++)
        for (size_t j = 0; j < steps[i].count; j++) {
            const char *diff_id = steps[i].items[j].diff_id;
            struct share *share = diff_id ? find_share(*ret, count, diff_id) : NULL;
            if (!share && diff_id)
                share = &(*ret)[count++];
            if (share)
                *share = (struct share){diff_id, share->images + 1};
        }
    return count;
}

static uint64_t count_users(struct engine *engine, const char *image)
{
    struct strv names = {0};
    const char *name;
    uint64_t count = 0;

    if (engine_list(engine, &names, NULL) < 0)
        return 0;
    strv_foreach (name, &names) {
        _cleanup_sandbox_ struct sandbox sandbox = {.record_fd = -1};
        count += engine_find(engine, name, &sandbox, NULL) == 0 &&
                 str_equal(sandbox.meta.image_id, image);
    }
    return count;
}

static void add_image(struct engine *engine, const struct image_info *image,
        const struct steps *steps, const struct share *shares, size_t share_count,
        struct json_object *rows)
{
    struct arena *arena = engine->arena;
    struct json_object *row = json_object_new_object();
    uint64_t alone = 0;

    for (size_t i = 0; i < steps->count; i++) {
        const struct share *share =
                find_share((struct share *)shares, share_count, steps->items[i].diff_id);
        alone += share && share->images == 1 ? steps->items[i].size : 0;
    }
    images_add_name(arena, image, row);
    json_add_str(row, "SharedSize", table_bytes(arena, image->size - alone));
    json_add_str(row, "UniqueSize", table_bytes(arena, alone));
    json_object_object_add(
            row, "Containers", json_object_new_uint64(count_users(engine, image->id)));
    json_object_array_add(rows, row);
}

static int print_images(
        struct engine *engine, struct image_store *store, FILE *out, struct error *err)
{
    static const char *const names[] = {"ID", "IMAGE ID", "CreatedSince", "CREATED", "SharedSize",
            "SHARED SIZE", "UniqueSize", "UNIQUE SIZE", "Containers", "SANDBOXES", NULL};
    const struct format_list list = {
            .usual = "{{.Repository}}\t{{.Tag}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}\t"
                     "{{.SharedSize}}\t{{.UniqueSize}}\t{{.Containers}}",
            .names = names};
    _cleanup_json_ struct json_object *rows = json_object_new_array();
    struct image_info *images;
    struct share *shares;
    size_t count;

    int r = image_list(store, engine->arena, &images, &count, err);
    if (r < 0)
        return r;
    struct steps *steps = arena_new_array(engine->arena, struct steps, count + 1);
    for (size_t i = 0; i < count; i++)
        if (image_history(
                    store, images[i].id, engine->arena, &steps[i].items, &steps[i].count, NULL) < 0)
            steps[i].count = 0; /* it went meanwhile */
    size_t share_count = count_shares(steps, count, engine->arena, &shares);
    for (size_t i = 0; i < count; i++)
        add_image(engine, &images[i], &steps[i], shares, share_count, rows);
    return format_print(engine->arena, NULL, &list, rows, out, err);
}

static int print_sandboxes(struct engine *engine, FILE *out, struct error *err)
{
    const struct listing_choice choice = {.all = true,
            .sizes = true,
            .format = "table {{.ID}}\t{{.Image}}\t{{.Command}}\t{{.LocalVolumes}}\t{{.Size}}\t"
                      "{{.RunningFor}}\t{{.Status}}\t{{.Names}}"};

    return listing_print(engine, &choice, out, err);
}

static int print_volumes(struct engine *engine, FILE *out, struct error *err)
{
    static const char *const names[] = {"Name", "VOLUME NAME", NULL};
    const struct format_list list = {.usual = "{{.Name}}\t{{.Links}}\t{{.Size}}", .names = names};
    _cleanup_json_ struct json_object *rows = json_object_new_array();
    struct strv volumes = {0};
    const char *name;
    int r = volume_list(engine, &volumes, err);

    strv_foreach (name, &volumes) {
        struct json_object *row;
        struct strv users = {0};
        struct volume volume;
        if (volume_find(engine, name, &volume, NULL) < 0 ||
                volume_users(engine, name, &users, NULL) < 0)
            continue;
        row = json_object_new_object();
        json_add_str(row, "Name", name);
        json_object_object_add(row, "Links", json_object_new_uint64(users.count));
        json_add_str(row, "Size", table_bytes(engine->arena, volume_bytes(&volume)));
        json_object_array_add(rows, row);
    }
    return r < 0 ? r : format_print(engine->arena, NULL, &list, rows, out, err);
}

int diskuse_print_each(
        struct engine *engine, struct image_store *store, FILE *out, struct error *err)
{
    fputs("Images space usage:\n\n", out);
    int r = print_images(engine, store, out, err);
    if (r == 0) {
        fputs("\nSandboxes space usage:\n\n", out);
        r = print_sandboxes(engine, out, err);
    }
    if (r == 0) {
        fputs("\nLocal Volumes space usage:\n\n", out);
        r = print_volumes(engine, out, err);
    }
    return r;
}
