#include "image/content.h"

#include "image/blobs.h"

int content_load(struct image_store *store, const struct catalog_image *image, struct arena *arena,
        struct content *ret, struct error *err)
{
    _cleanup_buf_ struct buf manifest = {.max = MANIFEST_SIZE_MAX};
    _cleanup_buf_ struct buf config = {.max = MANIFEST_SIZE_MAX};
    struct content found = {0};

    int r = blob_read(store, image->manifest, &manifest, err);
    if (r == 0)
        r = manifest_parse(buf_text(&manifest), manifest.length, NULL, arena, &found.manifest, err);
    if (r == 0)
        r = blob_read(store, found.manifest.config.digest, &config, err);
    if (r == 0)
        r = json_parse(
                buf_text(&config), config.length, "the image's configuration", &found.config, err);
    if (r == 0)
        r = manifest_diff_ids(found.config, &found.manifest, arena, &found.diff_ids, err);
    if (r < 0) {
        content_free(&found);
        return error_prefix(err, "image %s", image->id);
    }
    found.text = arena_strndup(arena, buf_text(&manifest), manifest.length);
    found.length = manifest.length;
    found.config_text = arena_strndup(arena, buf_text(&config), config.length);
    *ret = found;
    return 0;
}

int content_find(struct image_store *store, const char *image, struct arena *arena,
        struct catalog_image *ret_image, struct content *ret, struct error *err)
{
    struct catalog catalog;
    struct catalog_image *found;
    const char *name;

    int r = catalog_load(store, arena, &catalog, err);
    if (r == 0)
        r = catalog_find(store, &catalog, image, arena, &found, &name, err);
    if (r == 0)
        r = content_load(store, found, arena, ret, err);
    if (r == 0)
        *ret_image = *found;
    return r;
}

void content_free(struct content *content)
{
    if (content->config)
        json_object_put(content->config);
    content->config = NULL;
}
