#include "image/list.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "image/content.h"
#include "image/image.h"
#include "image/ingest.h"
#include "image/roots.h"
#include "image/shelf.h"

static struct image_info describe(const struct catalog_image *image)
{
    return (struct image_info){.id = image->id,
            .digest = image->manifest,
            .names = image->names,
            .digests = image->digests,
            .platform = image->platform,
            .created = image->created,
            .added = image->added,
            .size = image->size};
}

int image_list(struct image_store *store, struct arena *arena, struct image_info **ret,
        size_t *ret_count, struct error *err)
{
    struct catalog catalog;

    int r = catalog_load(store, arena, &catalog, err);
    if (r < 0)
        return r;
    struct image_info *list = arena_new_array(arena, struct image_info, catalog.images.count);
    for (size_t i = 0; i < catalog.images.count; i++)
        list[i] = describe(&catalog.images.items[i]);
    *ret = list;
    *ret_count = catalog.images.count;
    return 0;
}

int image_names_of(struct image_store *store, const char *repository, struct arena *arena,
        struct strv *ret, struct error *err)
{
    struct catalog catalog;
    int r = catalog_load(store, arena, &catalog, err);

    return r < 0 ? r : catalog_names_of(store, &catalog, repository, arena, ret, err);
}

int image_find(struct image_store *store, const char *image, struct arena *arena,
        struct image_info *ret, struct error *err)
{
    struct catalog catalog;
    struct catalog_image *found;
    const char *name;

    int r = catalog_load(store, arena, &catalog, err);
    if (r == 0)
        r = catalog_find(store, &catalog, image, arena, &found, &name, err);
    if (r == 0)
        *ret = describe(found);
    return r;
}

static struct json_object *words(const struct strv *list)
{
    struct json_object *array = json_object_new_array();
    const char *word;

    strv_foreach (word, list)
        json_object_array_add(array, json_object_new_string(word));
    return array;
}

static void copy_member(
        struct json_object *to, const char *name, struct json_object *from, const char *member)
{
    struct json_object *value = json_get(from, member);

    if (value)
        json_object_object_add(to, name, json_object_get(value));
}

static struct json_object *root_fs(const struct content *content)
{
    struct json_object *json = json_object_new_object();
    struct json_object *layers = json_object_new_array();

    json_add_str(json, "Type", "layers");
    for (size_t i = 0; i < content->manifest.count; i++)
        json_object_array_add(layers, json_object_new_string(content->diff_ids[i]));
    json_object_object_add(json, "Layers", layers);
    return json;
}

/* Lower folders, the topmost first, as Podman shows them. */
static struct json_object *graph_driver(
        struct image_store *store, const struct content *content, struct arena *arena)
{
    struct json_object *json = json_object_new_object();
    struct json_object *data = json_object_new_object();
    struct strv lower = {0};

    for (size_t i = content->manifest.count; i-- > 0;) {
        char path[SHELF_PATH_SIZE];
        shelf_path(content->diff_ids[i], "/diff", path);
        strv_add(arena, &lower, store_path(store, path, arena));
    }
    json_add_str(data, "LowerDir", strv_join(arena, &lower, ":"));
    json_add_str(json, "Name", "overlay");
    json_object_object_add(json, "Data", data);
    return json;
}

int image_inspect(
        struct image_store *store, const char *image, struct json_object **ret, struct error *err)
{
    static const struct {
        const char *name;
        const char *member;
    } members[] = {{"Created", "created"}, {"Author", "author"}, {"Architecture", "architecture"},
            {"Variant", "variant"}, {"Os", "os"}, {"OsVersion", "os.version"}, {"Config", "config"},
            {"History", "history"}};
    _cleanup_arena_ struct arena arena = {0};
    _cleanup_content_ struct content content = {0};
    struct catalog_image found;

    int r = content_find(store, image, &arena, &found, &content, err);
    if (r < 0)
        return r;
    struct json_object *json = json_object_new_object();
    json_add_str(json, "Id", found.id);
    json_add_str(json, "Digest", found.manifest);
    json_object_object_add(json, "RepoTags", words(&found.names));
    json_object_object_add(json, "RepoDigests", words(&found.digests));
    json_add_str(json, "Parent", "");
    for (size_t i = 0; i < ARRAY_SIZE(members); i++)
        copy_member(json, members[i].name, content.config, members[i].member);
    json_object_object_add(json, "Size", json_object_new_uint64(found.size));
    json_object_object_add(json, "VirtualSize", json_object_new_uint64(found.size));
    json_object_object_add(json, "GraphDriver", graph_driver(store, &content, &arena));
    json_object_object_add(json, "RootFS", root_fs(&content));
    json_add_str(json, "ManifestType", content.manifest.media_type);
    *ret = json;
    return 0;
}

int image_history(struct image_store *store, const char *image, struct arena *arena,
        struct image_step **ret, size_t *ret_count, struct error *err)
{
    _cleanup_content_ struct content content = {0};
    struct catalog_image found;

    int r = content_find(store, image, arena, &found, &content, err);
    if (r < 0)
        return r;
    struct json_object *history = json_get(content.config, "history");
    size_t count =
            json_object_is_type(history, json_type_array) ? json_object_array_length(history) : 0;
    struct image_step *steps = arena_new_array(arena, struct image_step, count + 1);
    size_t layer = 0;
    for (size_t i = 0; i < count; i++) {
        struct json_object *item = json_object_array_get_idx(history, i);
        struct image_step *step = &steps[count - 1 - i];
        struct shelf_info info;
        step->created_by = arena_strdup(arena, json_get_str(item, "created_by"));
        step->comment = arena_strdup(arena, json_get_str(item, "comment"));
        step->created = ingest_time(json_get_str(item, "created"));
        if (json_get_bool(item, "empty_layer", false) || layer >= content.manifest.count)
            continue;
        step->diff_id = content.diff_ids[layer++];
        if (shelf_has(store, step->diff_id, arena, &info))
            step->size = info.bytes;
    }
    *ret = steps;
    *ret_count = count;
    return 0;
}

struct naming {
    struct image_store *store;
    const char *image;
    const char *name;
};

static int add_name(struct catalog *catalog, struct arena *arena, void *data, struct error *err)
{
    const struct naming *naming = data;
    struct catalog_image *found;
    const char *matched;

    int r = catalog_find(naming->store, catalog, naming->image, arena, &found, &matched, err);
    if (r < 0)
        return r;
    struct catalog_image addition = *found;
    addition.names = (struct strv){0};
    addition.digests = (struct strv){0};
    strv_add(arena, &addition.names, naming->name);
    catalog_add(catalog, arena, &addition);
    return 0;
}

int list_full_name(const char *text, struct arena *arena, char **ret, struct error *err)
{
    struct reference name;

    int r = reference_parse(text, arena, &name, err);
    if (r < 0)
        return r;
    if (name.digest)
        return error_set(err, EINVAL, "\"%s\" has a digest; a name for an image has a tag", text);
    if (!name.domain)
        name.domain = "localhost";
    name = reference_complete(&name, arena);
    *ret = reference_text(&name, arena);
    return 0;
}

int image_tag(struct image_store *store, const char *image, const char *name, struct error *err)
{
    _cleanup_arena_ struct arena arena = {0};
    char *full;

    int r = list_full_name(name, &arena, &full, err);
    if (r < 0)
        return r;
    return catalog_change(store, add_name, &(struct naming){store, image, full}, err);
}

struct removal {
    struct image_store *store;
    const char *image;
    bool force;
    struct arena *arena;
    struct strv untagged;
    struct strv deleted;
};

static int remove_whole(struct removal *removal, struct catalog *catalog,
        struct catalog_image *image, struct arena *arena, struct error *err)
{
    char id[13];
    const char *user = root_using(removal->store, image->id, arena);
    const char *name;

    digest_short(image->id, id);
    if (user)
        return error_set(
                err, EBUSY, "image %s is in use by container %s; remove that first", id, user);
    strv_foreach (name, &image->names)
        strv_add(removal->arena, &removal->untagged, name);
    strv_add(removal->arena, &removal->deleted, image->id);
    catalog_drop(catalog, image);
    return 0;
}

static int remove_from_list(
        struct catalog *catalog, struct arena *arena, void *data, struct error *err)
{
    struct removal *removal = data;
    struct catalog_image *image;
    const char *name;
    char id[13];

    int r = catalog_find(removal->store, catalog, removal->image, arena, &image, &name, err);
    if (r < 0)
        return r;
    digest_short(image->id, id);
    bool by_tag = name && strv_contains(&image->names, name);
    if (!by_tag && image->names.count > 1 && !removal->force)
        return error_set(err, EBUSY,
                "image %s has several names (%s); force its removal, or remove "
                "it by name",
                id, strv_join(arena, &image->names, ", "));
    if (!by_tag || image->names.count == 1)
        return remove_whole(removal, catalog, image, arena, err);
    strv_add(removal->arena, &removal->untagged, name);
    catalog_drop_word(&image->names, name);
    return 0;
}

int image_remove(struct image_store *store, const char *image, bool force, struct arena *arena,
        struct strv *ret_untagged, struct strv *ret_deleted, struct error *err)
{
    struct removal removal = {.store = store, .image = image, .force = force, .arena = arena};

    int r = catalog_change(store, remove_from_list, &removal, err);
    if (r < 0)
        return r;
    *ret_untagged = removal.untagged;
    *ret_deleted = removal.deleted;
    if (removal.deleted.count)
        image_collect(store, NULL, NULL); /* what it leaves now, a later one takes */
    return 0;
}
