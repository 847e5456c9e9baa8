#include "image/compose.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/utc.h"
#include "image/blobs.h"
#include "image/change.h"
#include "image/codec.h"
#include "image/ingest.h"
#include "image/list.h"
#include "image/roots.h"
#include "image/tarout.h"

/* --- Configuration and manifest
 * ---------------------------------------------------------------------- */

static void now_text(char text[32])
{
    char second[UTC_TEXT_SIZE];

    snprintf(text, 32, "%sZ", utc_text(time(NULL), second));
}

static int new_config(const struct content *base, const struct image_change *change,
        struct arena *arena, struct json_object **ret, struct error *err)
{
    struct platform platform;

    if (base)
        return json_parse(base->config_text, strlen(base->config_text), "configuration", ret, err);
    int r = platform_parse(change->platform, arena, &platform, err);
    if (r < 0)
        return r;
    struct json_object *json = json_object_new_object();
    json_add_str(json, "architecture", platform.architecture);
    json_add_str(json, "os", platform.os);
    json_add_str(json, "variant", platform.variant);
    *ret = json;
    return 0;
}

static void add_history(struct json_object *json, const struct image_change *change)
{
    struct json_object *step = json_object_new_object();
    char now[32];

    now_text(now);
    json_add_str(json, "created", now);
    json_add_str(json, "author", change->author);
    json_add_str(step, "created", now);
    json_add_str(step, "created_by", change->created_by);
    json_add_str(step, "author", change->author);
    json_add_str(step, "comment", change->message);
    json_object_array_add(change_member(json, "history", json_type_array), step);
}

static void add_diff_id(struct json_object *json, const char *diff_id)
{
    struct json_object *rootfs = change_member(json, "rootfs", json_type_object);

    json_add_str(rootfs, "type", "layers");
    json_object_array_add(
            change_member(rootfs, "diff_ids", json_type_array), json_object_new_string(diff_id));
}

static int write_config(struct image_store *store, const struct content *base, const char *diff_id,
        const struct image_change *change, struct arena *arena, struct descriptor *ret,
        struct error *err)
{
    _cleanup_json_ struct json_object *json = NULL;
    char digest[DIGEST_SIZE];

    int r = new_config(base, change, arena, &json, err);
    if (r < 0)
        return r;
    struct json_object *config = change_member(json, "config", json_type_object);
    change_replace(config, change->config);
    for (size_t i = 0; i < change->changes.count && r == 0; i++)
        r = change_apply(config, change->changes.words[i], err);
    if (r < 0)
        return r;
    add_diff_id(json, diff_id);
    add_history(json, change);
    const char *text = json_text(json);
    r = blob_write(store, text, strlen(text), digest, err);
    *ret = (struct descriptor){
            .digest = arena_strdup(arena, digest), .size = (int64_t)strlen(text)};
    return r;
}

static int take_in(struct image_store *store, const struct manifest *manifest, const char *text,
        const struct image_change *change, struct arena *arena, char *ret_id, struct error *err)
{
    _cleanup_ingest_ struct ingest ingest = {0};
    struct strv names = {0};
    struct strv digests = {0};
    char *name;
    int r = 0;

    if (change->name) {
        r = list_full_name(change->name, arena, &name, err);
        if (r < 0)
            return r;
        strv_add(arena, &names, name);
    }
    ingest_start(&ingest, store, arena, manifest, text, strlen(text));
    r = ingest_config(&ingest, NULL, err);
    if (r == 0)
        r = ingest_wait(&ingest, err);
    return r < 0 ? r : ingest_commit(&ingest, &names, &digests, ret_id, err);
}

int compose_image(struct image_store *store, const struct content *base,
        const struct descriptor *layer, const char *diff_id, const struct image_change *change,
        char ret_id[IMAGE_ID_SIZE], struct error *err)
{
    _cleanup_arena_ struct arena arena = {0};
    size_t below = base ? base->manifest.count : 0;
    struct manifest manifest = {
            .count = below + 1, .items = arena_new_array(&arena, struct descriptor, below + 1)};
    char *text;

    for (size_t i = 0; i < below; i++)
        manifest.items[i] = base->manifest.items[i];
    manifest.items[below] = *layer;
    bool oci = !base || str_equal(base->manifest.media_type, MANIFEST_OCI);
    int r = write_config(store, base, diff_id, change, &arena, &manifest.config, err);
    if (r == 0)
        r = manifest_write(&manifest, oci, &arena, &text, err);
    if (r == 0)
        r = manifest_parse(text, strlen(text), NULL, &arena, &manifest, err);
    return r < 0 ? r : take_in(store, &manifest, text, change, &arena, ret_id, err);
}

/* --- import, export, commit
 * --------------------------------------------------------------------------- */

/* What a spooled tarball is: its compression and its diff id. */
static int examine(struct image_store *store, const char *digest, char diff_id[DIGEST_SIZE],
        const char **ret_type, struct error *err)
{
    static const enum layer_kind kinds[] = {LAYER_PLAIN, LAYER_GZIP, LAYER_ZSTD};
    _cleanup_codec_ struct codec_reader *codec = NULL;
    uint64_t bytes;

    _cleanup_close_ int fd = blob_open(store, digest, err);
    if (fd < 0)
        return fd;
    int r = codec_open(fd, UINT64_MAX, &codec, err);
    if (r == 0)
        r = codec_finish(codec, diff_id, &bytes, err);
    if (r == 0)
        *ret_type = manifest_layer_type(kinds[codec_kind(codec)], true);
    return r;
}

static int import(struct image_store *store, int fd, const struct image_change *change,
        char *ret_id, struct error *err)
{
    struct descriptor layer = {0};
    char digest[DIGEST_SIZE];
    char diff_id[DIGEST_SIZE];
    uint64_t size;

    int r = blob_spool(store, fd, NULL, digest, &size, err);
    if (r == 0)
        r = examine(store, digest, diff_id, &layer.media_type, err);
    if (r < 0)
        return error_prefix(err, "the tarball");
    layer.digest = digest;
    layer.size = (int64_t)size;
    return compose_image(store, NULL, &layer, diff_id, change, ret_id, err);
}

int image_import(struct image_store *store, int fd, const struct image_change *change,
        char ret_id[IMAGE_ID_SIZE], struct error *err)
{
    struct image_change full = *change;

    if (!full.created_by)
        full.created_by = "import of a tarball";
    int r = store_use(store, err);
    if (r < 0)
        return r;
    r = import(store, fd, &full, ret_id, err);
    store_release(store);
    image_collect(store, NULL, NULL);
    return r;
}

int image_export(int dirfd, int fd, struct error *err)
{
    _cleanup_tarout_ struct tarout *out = NULL;

    int r = tarout_open(fd, &out, err);
    if (r == 0)
        r = tarout_add_tree(out, dirfd, false, err);
    return r < 0 ? r : tarout_finish(out, NULL, NULL, err);
}

/* A tree as a blob; `upper`: with overlayfs's marks in it. */
static int write_layer(struct image_store *store, int dirfd, bool upper, struct descriptor *ret,
        char digest[DIGEST_SIZE], struct error *err)
{
    _cleanup_tarout_ struct tarout *out = NULL;
    const char *path;
    uint64_t bytes;

    _cleanup_close_ int fd = store_make_file(store, &path, err);
    if (fd < 0)
        return fd;
    int r = tarout_open(fd, &out, err);
    if (r == 0)
        r = tarout_add_tree(out, dirfd, upper, err);
    if (r == 0)
        r = tarout_finish(out, digest, &bytes, err);
    if (r == 0)
        r = blob_adopt(store, fd, path, digest, err);
    if (r < 0) {
        unlinkat(store->root_fd, path, 0);
        return store_advise(store, r, err);
    }
    *ret = (struct descriptor){.digest = digest,
            .size = (int64_t)bytes,
            .media_type = manifest_layer_type(LAYER_PLAIN, true)};
    return 0;
}

static int commit(struct image_store *store, const char *id, const struct image_change *change,
        char *ret_id, struct error *err)
{
    _cleanup_arena_ struct arena arena = {0};
    _cleanup_content_ struct content base = {0};
    struct root_info info;
    struct descriptor layer;
    char digest[DIGEST_SIZE];

    int r = root_load(store, id, &arena, &info, err);
    if (r == 0 && info.folder)
        r = error_set(
                err, EOPNOTSUPP, "root %s is laid upon %s, not upon an image", id, info.folder);
    if (r == 0)
        r = content_load(store,
                &(struct catalog_image){.id = info.image, .manifest = info.manifest}, &arena, &base,
                err);
    if (r < 0)
        return r;
    int upper_fd = root_open_upper(store, id, err);
    _cleanup_close_ int upper = upper_fd;
    if (upper < 0)
        return upper;
    r = write_layer(store, upper, true, &layer, digest, err);
    return r < 0 ? r : compose_image(store, &base, &layer, digest, change, ret_id, err);
}

static int commit_tree(struct image_store *store, int dirfd, const struct image_change *change,
        char *ret_id, struct error *err)
{
    struct descriptor layer;
    char digest[DIGEST_SIZE];
    int r = write_layer(store, dirfd, false, &layer, digest, err);

    return r < 0 ? r : compose_image(store, NULL, &layer, digest, change, ret_id, err);
}

int image_commit(struct image_store *store, const char *id, int dirfd,
        const struct image_change *change, char ret_id[IMAGE_ID_SIZE], struct error *err)
{
    struct image_change full = *change;

    if (!full.created_by)
        full.created_by = "commit of a container";
    int r = store_use(store, err);
    if (r < 0)
        return r;
    r = id ? commit(store, id, &full, ret_id, err) : commit_tree(store, dirfd, &full, ret_id, err);
    store_release(store);
    return r;
}
