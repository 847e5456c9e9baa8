#include "image/image.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "image/blobs.h"
#include "image/catalog.h"
#include "image/content.h"
#include "image/disk.h"
#include "image/ensure.h"
#include "image/gc.h"
#include "image/roots.h"
#include "image/shelf.h"

struct check {
    struct image_store *store;
    struct arena *arena;
    bool repair;
    struct strv *findings;
    struct strv bad_images; /* ids that cannot be made good from here */
    struct strv seen;       /* layers that were looked at */
    struct strv seen_blobs; /* one that is not compressed has the digest of its layer */
};

static void find(struct check *check, const char *format, ...)
        __attribute__((format(printf, 2, 3)));

static void find(struct check *check, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    strv_add(check->arena, check->findings, arena_vprintf(check->arena, format, args));
    va_end(args);
}

/* 0: sound; otherwise it is taken out when repairing, so that a pull brings it again. */
static int check_blob(struct check *check, const char *digest, const char *image)
{
    struct error err = ERROR_NONE;
    char path[BLOB_PATH_SIZE];

    _cleanup_close_ int fd = blob_open(check->store, digest, &err);
    int r = fd < 0 ? fd : digest_check_fd(fd, digest, &err);
    if (r == 0)
        return 0;
    blob_path(digest, path);
    if (check->repair && r == -EBADMSG)
        unlinkat(check->store->root_fd, path, 0);
    find(check, "image %s: blob %s: %s%s", image, digest, r == -ENOENT ? "missing" : err.text,
            check->repair ? "; pull the image again" : "");
    return r;
}

static void check_layer(
        struct check *check, const char *digest, const char *diff_id, const char *image)
{
    struct error err = ERROR_NONE;

    if (strv_contains(&check->seen, diff_id))
        return;
    strv_add(check->arena, &check->seen, diff_id);
    int r = shelf_compare(check->store, digest, diff_id, &err);
    if (r == 0)
        return;
    if (!check->repair) {
        find(check, "image %s: %s", image, err.text);
        return;
    }
    char text[512];
    snprintf(text, sizeof(text), "%s", err.text);
    r = disk_remove_all(check->store, &err);
    if (r == 0)
        r = shelf_remove(check->store, diff_id, &err);
    if (r == 0)
        r = ensure_unpacked(check->store, digest, diff_id, &err);
    find(check, "image %s: %s; %s%s", image, text, r < 0 ? "" : "unpacked again",
            r < 0 ? err.text : "");
}

static void check_image(struct check *check, const struct catalog_image *image)
{
    _cleanup_content_ struct content content = {0};
    struct error err = ERROR_NONE;
    const char *name = image->names.count ? image->names.words[0] : image->id;
    bool bad = false;

    int r = content_load(check->store, image, check->arena, &content, &err);
    if (r < 0) {
        find(check, "%s", err.text);
        strv_add(check->arena, &check->bad_images, image->id);
        return;
    }
    for (size_t i = 0; i < content.manifest.count; i++) {
        const char *digest = content.manifest.items[i].digest;
        if (strv_contains(&check->seen_blobs, digest))
            continue;
        if (check_blob(check, digest, name) < 0) {
            bad = true;
            continue;
        }
        strv_add(check->arena, &check->seen_blobs, digest);
        check_layer(check, digest, content.diff_ids[i], name);
    }
    if (bad)
        strv_add(check->arena, &check->bad_images, image->id);
}

/* An image that a root uses stays: the root's layers are on the disk. */
static int drop_bad(struct catalog *catalog, struct arena *arena, void *data, struct error *err)
{
    struct check *check = data;
    bool changed = false;
    (void)err;

    for (size_t i = catalog->images.count; i-- > 0;) {
        struct catalog_image *image = &catalog->images.items[i];
        if (!strv_contains(&check->bad_images, image->id) ||
                root_using(check->store, image->id, arena))
            continue;
        find(check, "image %s (%s): taken out of the list; pull it again", image->id,
                image->names.count ? strv_join(arena, &image->names, ", ") : "without a name");
        catalog_drop(catalog, image);
        changed = true;
    }
    return changed ? 0 : 1;
}

static int sweep(struct check *check, struct error *err)
{
    struct gc_live live = {0};
    struct catalog catalog;
    uint64_t bytes = 0;

    int r = catalog_load(check->store, check->arena, &catalog, err);
    if (r == 0)
        r = gc_mark(check->store, &catalog, check->arena, &live, err);
    if (r == 0)
        r = gc_sweep(check->store, &live, false, &bytes, err);
    if (r == 0 && bytes)
        find(check, "%llu bytes that nobody refers to: removed", (unsigned long long)bytes);
    return r;
}

static int check_roots(struct check *check, struct error *err)
{
    struct strv ids;
    const char *id;

    int r = root_list(check->store, check->arena, &ids, err);
    if (r < 0)
        return r;
    strv_foreach (id, &ids) {
        struct error reason = ERROR_NONE;
        struct root_info info;
        if (root_load(check->store, id, check->arena, &info, &reason) < 0) {
            find(check, "root %s: %s", id, reason.text);
            continue;
        }
        for (size_t i = 0; i < info.layers.count; i++)
            if (blob_present(check->store, info.blobs.words[i], -1))
                check_layer(check, info.blobs.words[i], info.layers.words[i], id);
    }
    return 0;
}

static int check_disks(struct check *check, struct error *err)
{
    struct strv keys;
    const char *key;

    int r = disk_list(check->store, check->arena, &keys, err);
    if (r < 0)
        return r;
    strv_foreach (key, &keys) {
        struct error reason = ERROR_NONE;
        if (disk_check(check->store, key, &reason) == 0)
            continue;
        find(check, "%s%s", reason.text, check->repair ? "; the next machine makes it anew" : "");
        r = check->repair ? disk_remove(check->store, key, err) : 0;
        if (r < 0)
            return r;
    }
    return 0;
}

int image_check(struct image_store *store, bool repair, struct arena *arena,
        struct strv *ret_findings, struct error *err)
{
    struct strv findings = {0};
    struct check check = {.store = store, .arena = arena, .repair = repair, .findings = &findings};
    struct catalog catalog;

    _cleanup_close_ int lock = store_lock(store, "use", true, true, err);
    if (lock < 0)
        return lock;
    int r = catalog_load(store, arena, &catalog, err);
    if (r < 0)
        return r;
    for (size_t i = 0; i < catalog.images.count; i++)
        check_image(&check, &catalog.images.items[i]);
    r = check_roots(&check, err);
    if (r == 0)
        r = check_disks(&check, err);
    if (r == 0 && repair && check.bad_images.count)
        r = catalog_change(store, drop_bad, &check, err);
    if (r == 0 && repair)
        r = sweep(&check, err);
    if (r < 0)
        return r;
    *ret_findings = findings;
    return findings.count > INT32_MAX ? INT32_MAX : (int)findings.count;
}
