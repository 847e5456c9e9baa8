#include "image/gc.h"

#include <dirent.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "image/client.h"
#include "image/content.h"
#include "image/disk.h"
#include "image/roots.h"

static int compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

void gc_set_add(struct gc_set *set, struct arena *arena, const char *word)
{
    strv_add(arena, &set->words, word);
    set->sorted = false;
}

bool gc_set_has(struct gc_set *set, const char *word)
{
    if (set->words.count == 0)
        return false;
    if (!set->sorted)
        qsort(set->words.words, set->words.count, sizeof(char *), compare);
    set->sorted = true;
    return bsearch(&word, set->words.words, set->words.count, sizeof(char *), compare) != NULL;
}

static void mark_disk(const struct strv *layers, struct arena *arena, struct gc_live *live)
{
    char key[DIGEST_SIZE];

    disk_key(layers, key);
    gc_set_add(&live->disks, arena, key);
}

void gc_mark_image(struct image_store *store, const struct catalog_image *image,
        struct arena *arena, struct gc_live *live)
{
    _cleanup_content_ struct content content = {0};
    struct error ignored = ERROR_NONE;
    struct strv layers = {0};

    gc_set_add(&live->blobs, arena, image->manifest);
    gc_set_add(&live->blobs, arena, image->id);
    if (content_load(store, image, arena, &content, &ignored) < 0)
        return; /* damaged: image_check() has something to say about it */
    for (size_t i = 0; i < content.manifest.count; i++) {
        gc_set_add(&live->blobs, arena, content.manifest.items[i].digest);
        gc_set_add(&live->layers, arena, content.diff_ids[i]);
        strv_add(arena, &layers, content.diff_ids[i]);
    }
    mark_disk(&layers, arena, live);
}

static int mark_roots(
        struct image_store *store, struct arena *arena, struct gc_live *live, struct error *err)
{
    struct strv ids;
    const char *id;

    int r = root_list(store, arena, &ids, err);
    if (r < 0)
        return r;
    strv_foreach (id, &ids) {
        struct root_info info;
        const char *word;
        r = root_load(store, id, arena, &info, err);
        if (r < 0) /* better to keep all than to take a layer from under a container */
            return r;
        if (info.folder)
            continue;
        gc_set_add(&live->blobs, arena, info.manifest);
        gc_set_add(&live->blobs, arena, info.image);
        strv_foreach (word, &info.blobs)
            gc_set_add(&live->blobs, arena, word);
        strv_foreach (word, &info.layers)
            gc_set_add(&live->layers, arena, word);
        mark_disk(&info.layers, arena, live);
    }
    return 0;
}

int gc_mark(struct image_store *store, const struct catalog *catalog, struct arena *arena,
        struct gc_live *live, struct error *err)
{
    for (size_t i = 0; i < catalog->images.count; i++)
        gc_mark_image(store, &catalog->images.items[i], arena, live);
    return mark_roots(store, arena, live, err);
}

/* What images and roots need, by folder; `algorithm`: what makes the names there digests again. */
static const struct place {
    const char *folder;
    const char *algorithm;
    size_t live; /* a set in struct gc_live */
} places[] = {
        {"blobs/sha256", "sha256:", offsetof(struct gc_live, blobs)},
        {"blobs/sha512", "sha512:", offsetof(struct gc_live, blobs)},
        {"layers", "sha256:", offsetof(struct gc_live, layers)},
        {"disks", "sha256:", offsetof(struct gc_live, disks)},
};

static struct gc_set *live_in(struct gc_live *live, const struct place *place)
{
    return (struct gc_set *)(void *)((char *)live + place->live);
}

/* Which entries of a folder stay. Counting what goes (`bytes`, may be NULL) takes as long as half
 * of removing it. */
static int sweep_folder(struct image_store *store, const char *folder, const char *algorithm,
        struct gc_set *keep, uint64_t *bytes, struct error *err)
{
    int fd = openat(store->root_fd, folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    _cleanup_closedir_ DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    struct dirent *entry;

    if (!dir)
        return error_sys(err, errno, "open %s/%s", store->options.root, folder);
    while ((entry = readdir(dir))) {
        char word[300];
        if (str_equal(entry->d_name, ".") || str_equal(entry->d_name, ".."))
            continue;
        snprintf(word, sizeof(word), "%s%s", algorithm, entry->d_name);
        if (keep && gc_set_has(keep, word))
            continue;
        if (bytes)
            *bytes += io_disk_usage_at(fd, entry->d_name);
        int r = io_remove_tree_at(fd, entry->d_name);
        if (r < 0)
            return error_sys(
                    err, -r, "remove %s/%s/%s", store->options.root, folder, entry->d_name);
    }
    return 0;
}

int gc_sweep(struct image_store *store, struct gc_live *live, bool partial, uint64_t *ret_bytes,
        struct error *err)
{
    uint64_t counted = 0;
    uint64_t *bytes = ret_bytes ? &counted : NULL;

    client_sweep(store);
    int r = 0;
    for (size_t i = 0; i < ARRAY_SIZE(places) && r == 0; i++)
        r = sweep_folder(store, places[i].folder, places[i].algorithm, live_in(live, &places[i]),
                bytes, err);
    if (r == 0)
        r = sweep_folder(store, "tmp", "", NULL, bytes, err);
    if (r == 0 && partial)
        r = sweep_folder(store, "partial", "", NULL, bytes, err);
    if (ret_bytes)
        *ret_bytes = counted;
    return r;
}

static int collect(struct image_store *store, bool partial, uint64_t *ret_bytes, struct error *err)
{
    _cleanup_arena_ struct arena arena = {0};
    struct gc_live live = {0};
    struct catalog catalog;

    int r = catalog_load(store, &arena, &catalog, err);
    if (r == 0)
        r = gc_mark(store, &catalog, &arena, &live, err);
    return r < 0 ? r : gc_sweep(store, &live, partial, ret_bytes, err);
}

int image_collect(struct image_store *store, uint64_t *ret_bytes, struct error *err)
{
    if (ret_bytes)
        *ret_bytes = 0;
    if (store->use_count > 0)
        return 0;
    _cleanup_close_ int lock = store_lock(store, "use", true, false, NULL);
    return lock < 0 ? 0 : collect(store, false, ret_bytes, err);
}

struct pruning {
    struct image_store *store;
    struct arena *arena;
    bool all;
    const struct strv *only;
    struct strv *deleted;
};

static int prune_list(struct catalog *catalog, struct arena *arena, void *data, struct error *err)
{
    struct pruning *pruning = data;
    (void)err;

    for (size_t i = catalog->images.count; i-- > 0;) {
        struct catalog_image *image = &catalog->images.items[i];
        bool unwanted = (pruning->all || image->names.count == 0) &&
                        (!pruning->only || strv_contains(pruning->only, image->id));
        if (!unwanted || root_using(pruning->store, image->id, arena))
            continue;
        strv_add(pruning->arena, pruning->deleted, image->id);
        catalog_drop(catalog, image);
    }
    return pruning->deleted->count ? 0 : 1;
}

int image_prune(struct image_store *store, bool all, const struct strv *only, struct arena *arena,
        struct strv *ret_deleted, uint64_t *ret_bytes, struct error *err)
{
    struct strv deleted = {0};
    struct pruning pruning = {store, arena, all, only, &deleted};

    _cleanup_close_ int lock = store_lock(store, "use", true, true, err);
    if (lock < 0)
        return lock;
    int r = catalog_change(store, prune_list, &pruning, err);
    if (r == 0)
        r = collect(store, true, ret_bytes, err);
    if (r == 0)
        *ret_deleted = deleted;
    return r;
}

/* What a set of images keeps on the disk. */
static uint64_t bytes_of(struct image_store *store, struct gc_live *live)
{
    uint64_t bytes = 0;

    for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
        int fd = openat(store->root_fd, places[i].folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        _cleanup_closedir_ DIR *dir = fd < 0 ? NULL : fdopendir(fd);
        struct dirent *entry;
        while (dir && (entry = readdir(dir))) {
            char word[300];
            if (entry->d_name[0] == '.')
                continue;
            snprintf(word, sizeof(word), "%s%s", places[i].algorithm, entry->d_name);
            if (!live || gc_set_has(live_in(live, &places[i]), word))
                bytes += io_disk_usage_at(fd, entry->d_name);
        }
    }
    return bytes;
}

/* What is in a folder, without the folder itself. */
static uint64_t usage_inside(struct image_store *store, const char *path)
{
    struct stat st;

    if (fstatat(store->root_fd, path, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return 0;
    return io_disk_usage_at(store->root_fd, path) - (uint64_t)st.st_blocks * 512;
}

static uint64_t roots_usage(struct image_store *store, const struct strv *ids, struct arena *arena)
{
    uint64_t bytes = 0;
    const char *id;

    strv_foreach (id, ids) {
        bytes += io_disk_usage_at(store->root_fd, arena_printf(arena, "roots/%s/upper", id));
        /* a machine's, of which that is a link (engine/vm_upper.h); nothing for containers */
        bytes += io_disk_usage_at(store->root_fd, arena_printf(arena, "roots/%s/machine", id));
        bytes += io_disk_usage_at(store->root_fd, arena_printf(arena, "roots/%s/work", id));
    }
    return bytes;
}

uint64_t image_root_disk_usage(struct image_store *store, const char *id)
{
    _cleanup_arena_ struct arena arena = {0};
    char *words[] = {arena_strdup(&arena, id), NULL};

    return roots_usage(store, &(struct strv){words, 1, 1}, &arena);
}

uint64_t image_root_usage(struct image_store *store, const char *id)
{
    _cleanup_arena_ struct arena arena = {0};

    return usage_inside(store, arena_printf(&arena, "roots/%s/upper", id));
}

int image_usage(struct image_store *store, struct image_usage *ret, struct error *err)
{
    _cleanup_arena_ struct arena arena = {0};
    struct image_usage usage = {0};
    struct gc_live needed = {0};
    struct catalog catalog;
    struct strv ids;

    int r = catalog_load(store, &arena, &catalog, err);
    if (r == 0)
        r = root_list(store, &arena, &ids, err);
    if (r == 0)
        r = mark_roots(store, &arena, &needed, err);
    if (r < 0)
        return r;
    usage.images = catalog.images.count;
    for (size_t i = 0; i < catalog.images.count; i++)
        if (root_using(store, catalog.images.items[i].id, &arena))
            usage.images_used++;
    usage.image_bytes = bytes_of(store, NULL);
    usage.image_bytes_free = usage.image_bytes - bytes_of(store, &needed);
    usage.roots = ids.count;
    usage.root_bytes = roots_usage(store, &ids, &arena);
    usage.partial_bytes = usage_inside(store, "partial") + usage_inside(store, "fetch") +
                          usage_inside(store, "tmp");
    *ret = usage;
    return 0;
}
