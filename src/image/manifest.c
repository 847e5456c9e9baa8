#include "image/manifest.h"

#include <string.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "image/digest.h"

#define REF_NAME "org.opencontainers.image.ref.name"

static const struct {
    const char *media_type;
    enum layer_kind kind;
    bool oci;
    bool written; /* what we write ourselves */
} layer_types[] = {
        {"application/vnd.oci.image.layer.v1.tar", LAYER_PLAIN, true, true},
        {"application/vnd.oci.image.layer.v1.tar+gzip", LAYER_GZIP, true, true},
        {"application/vnd.oci.image.layer.v1.tar+zstd", LAYER_ZSTD, true, true},
        {"application/vnd.docker.image.rootfs.diff.tar", LAYER_PLAIN, false, true},
        {"application/vnd.docker.image.rootfs.diff.tar.gzip", LAYER_GZIP, false, true},
        {"application/vnd.docker.image.rootfs.diff.tar.zstd", LAYER_ZSTD, false, true},
        {"application/vnd.oci.image.layer.nondistributable.v1.tar", LAYER_PLAIN, true, false},
        {"application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", LAYER_GZIP, true, false},
        {"application/vnd.oci.image.layer.nondistributable.v1.tar+zstd", LAYER_ZSTD, true, false},
        {"application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", LAYER_GZIP, false, false},
};

enum layer_kind manifest_layer_kind(const char *media_type)
{
    for (size_t i = 0; media_type && i < ARRAY_SIZE(layer_types); i++)
        if (str_equal(layer_types[i].media_type, media_type))
            return layer_types[i].kind;
    return LAYER_UNKNOWN;
}

const char *manifest_layer_type(enum layer_kind kind, bool oci)
{
    for (size_t i = 0; i < ARRAY_SIZE(layer_types); i++)
        if (layer_types[i].kind == kind && layer_types[i].oci == oci && layer_types[i].written)
            return layer_types[i].media_type;
    return NULL;
}

static int read_descriptor(struct json_object *json, const char *what, struct arena *arena,
        struct descriptor *ret, struct error *err)
{
    struct json_object *platform = json_get(json, "platform");

    *ret = (struct descriptor){.media_type = arena_strdup(arena, json_get_str(json, "mediaType")),
            .digest = arena_strdup(arena, json_get_str(json, "digest")),
            .size = json_get_int(json, "size", -1),
            .platform = {arena_strdup(arena, json_get_str(platform, "os")),
                    arena_strdup(arena, json_get_str(platform, "architecture")),
                    arena_strdup(arena, json_get_str(platform, "variant"))},
            .name = arena_strdup(arena, json_get_str(json_get(json, "annotations"), REF_NAME))};
    if (!digest_valid(ret->digest))
        return error_set(err, EINVAL, "the manifest's %s has no valid digest%s%s", what,
                ret->digest ? ": " : "", ret->digest ? ret->digest : "");
    if (ret->size < 0 || ret->size > MANIFEST_BLOB_MAX)
        return error_set(err, EINVAL, "the manifest's %s has no size, or one beyond %lld bytes",
                what, (long long)MANIFEST_BLOB_MAX);
    return 0;
}

static int read_items(struct json_object *array, const char *what, size_t max, struct arena *arena,
        struct manifest *ret, struct error *err)
{
    if (!json_object_is_type(array, json_type_array))
        return error_set(err, EINVAL, "the manifest has no list of %ss", what);
    ret->count = json_object_array_length(array);
    if (ret->count > max)
        return error_set(
                err, E2BIG, "the manifest has %zu %ss; %zu are the limit", ret->count, what, max);
    ret->items = arena_new_array(arena, struct descriptor, ret->count);
    for (size_t i = 0; i < ret->count; i++) {
        int r = read_descriptor(
                json_object_array_get_idx(array, i), what, arena, &ret->items[i], err);
        if (r < 0)
            return r;
    }
    return 0;
}

static int read_image(
        struct json_object *json, struct arena *arena, struct manifest *ret, struct error *err)
{
    int r = read_descriptor(json_get(json, "config"), "configuration", arena, &ret->config, err);
    if (r == 0 && ret->config.size > (int64_t)MANIFEST_SIZE_MAX)
        r = error_set(err, EFBIG, "the image's configuration has %lld bytes; %zu are the limit",
                (long long)ret->config.size, MANIFEST_SIZE_MAX);
    if (r == 0)
        r = read_items(json_get(json, "layers"), "layer", MANIFEST_LAYERS_MAX, arena, ret, err);
    for (size_t i = 0; r == 0 && i < ret->count; i++)
        if (manifest_layer_kind(ret->items[i].media_type) == LAYER_UNKNOWN)
            r = error_set(err, EPROTONOSUPPORT,
                    "layer %zu is of the type \"%s\", which is not a layer of an image that can "
                    "run (encrypted, or an artifact?)",
                    i + 1, ret->items[i].media_type ? ret->items[i].media_type : "");
    return r;
}

int manifest_parse(const char *text, size_t length, const char *media_type, struct arena *arena,
        struct manifest *ret, struct error *err)
{
    _cleanup_json_ struct json_object *json = NULL;
    struct manifest found = {0};

    if (length > MANIFEST_SIZE_MAX)
        return error_set(err, EFBIG, "the manifest has %zu bytes; %zu are the limit", length,
                MANIFEST_SIZE_MAX);
    int r = json_parse(text, length, "manifest", &json, err);
    if (r < 0)
        return r;
    if (json_get_int(json, "schemaVersion", 2) == 1)
        return error_set(err, EPROTONOSUPPORT,
                "the manifest is of schema 1, which registries have given up; push the image again "
                "with a current tool");
    const char *own = json_get_str(json, "mediaType");
    bool list = json_get(json, "manifests") != NULL;
    if (!own && (str_empty(media_type) || !strstr(media_type, "manifest")))
        media_type = list ? MANIFEST_OCI_INDEX : MANIFEST_OCI;
    found.media_type = arena_strdup(arena, own ? own : media_type);
    found.list = list;
    if (list && json_get(json, "layers"))
        return error_set(err, EINVAL, "the manifest is a list and an image at once");
    r = list ? read_items(json_get(json, "manifests"), "manifest", MANIFEST_LIST_MAX, arena, &found,
                       err)
             : read_image(json, arena, &found, err);
    if (r == 0)
        *ret = found;
    return r;
}

static int no_fit(const struct manifest *list, const struct platform *platform, struct arena *arena,
        struct error *err)
{
    struct strv there = {0};

    for (size_t i = 0; i < list->count; i++) {
        const struct descriptor *item = &list->items[i];
        if (str_empty(item->platform.os) || str_equal(item->platform.os, "unknown"))
            continue; /* attestations are stored like this */
        const char *text = platform_text(&item->platform, arena);
        if (!strv_contains(&there, text))
            strv_add(arena, &there, text);
    }
    return error_set(err, ENOENT, "there is no image for %s; there are: %s",
            platform_text(platform, arena),
            there.count ? strv_join(arena, &there, ", ") : "none that name their platform");
}

int manifest_choose(const struct manifest *list, const struct platform *platform,
        struct arena *arena, const struct descriptor **ret, struct error *err)
{
    const struct descriptor *best = NULL;
    int best_fit = 0;

    for (size_t i = 0; i < list->count; i++) {
        int fit = platform_fit(platform, &list->items[i].platform);
        if (fit > best_fit) {
            best = &list->items[i];
            best_fit = fit;
        }
    }
    /* oci: layouts of one image often do not name its platform; its configuration will be asked */
    if (!best && list->count == 1 && str_empty(list->items[0].platform.os))
        best = &list->items[0];
    if (!best)
        return no_fit(list, platform, arena, err);
    *ret = best;
    return 0;
}

static struct json_object *write_descriptor(const char *media_type, const struct descriptor *from)
{
    struct json_object *json = json_object_new_object();

    json_add_str(json, "mediaType", media_type);
    json_add_str(json, "digest", from->digest);
    json_object_object_add(json, "size", json_object_new_int64(from->size));
    return json;
}

int manifest_write(const struct manifest *manifest, bool oci, struct arena *arena, char **ret,
        struct error *err)
{
    _cleanup_json_ struct json_object *json = json_object_new_object();
    struct json_object *layers = json_object_new_array();

    json_object_object_add(json, "schemaVersion", json_object_new_int(2));
    json_add_str(json, "mediaType", oci ? MANIFEST_OCI : MANIFEST_DOCKER);
    json_object_object_add(json, "config",
            write_descriptor(
                    oci ? MANIFEST_OCI_CONFIG : MANIFEST_DOCKER_CONFIG, &manifest->config));
    json_object_object_add(json, "layers", layers);
    for (size_t i = 0; i < manifest->count; i++) {
        enum layer_kind kind = manifest_layer_kind(manifest->items[i].media_type);
        if (kind == LAYER_ZSTD && !oci)
            return error_set(err, EPROTONOSUPPORT,
                    "layer %zu is zstd, which schema 2 does not have; use the format oci", i + 1);
        json_object_array_add(
                layers, write_descriptor(manifest_layer_type(kind, oci), &manifest->items[i]));
    }
    *ret = arena_strdup(arena, json_text(json));
    return 0;
}

int manifest_diff_ids(struct json_object *config, const struct manifest *manifest,
        struct arena *arena, const char ***ret, struct error *err)
{
    struct json_object *array = json_get(json_get(config, "rootfs"), "diff_ids");
    size_t count =
            json_object_is_type(array, json_type_array) ? json_object_array_length(array) : 0;

    if (count != manifest->count)
        return error_set(err, EINVAL,
                "the image's configuration lists %zu layers (rootfs.diff_ids), its manifest %zu",
                count, manifest->count);
    const char **list = arena_new_array(arena, const char *, count);
    for (size_t i = 0; i < count; i++) {
        list[i] = arena_strdup(arena, json_object_get_string(json_object_array_get_idx(array, i)));
        if (!digest_valid(list[i]))
            return error_set(err, EINVAL,
                    "the image's configuration: rootfs.diff_ids[%zu] is not a digest", i);
    }
    *ret = list;
    return 0;
}

struct platform manifest_config_platform(struct json_object *config)
{
    return (struct platform){json_get_str(config, "os"), json_get_str(config, "architecture"),
            json_get_str(config, "variant")};
}
