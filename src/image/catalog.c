#include "image/catalog.h"

#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/recordfile.h"
#include "image/digest.h"
#include "image/reference.h"

#define FILE_NAME "images.json"
#define FILE_LIMIT ((size_t)64 << 20)

static const struct field image_fields[] = {
        FIELD_REQUIRED(struct catalog_image, id, FIELD_STR),
        FIELD_REQUIRED(struct catalog_image, manifest, FIELD_STR),
        FIELD(struct catalog_image, names, FIELD_STRV),
        FIELD(struct catalog_image, digests, FIELD_STRV),
        FIELD(struct catalog_image, platform, FIELD_STR),
        FIELD(struct catalog_image, created, FIELD_I64),
        FIELD(struct catalog_image, added, FIELD_I64),
        FIELD(struct catalog_image, size, FIELD_U64),
};
static const struct record image_record = RECORD(struct catalog_image, image_fields);

static const struct field catalog_fields[] = {
        FIELD_OF(struct catalog, images, "images", FIELD_LIST, &image_record),
};
static const struct record catalog_record = RECORD(struct catalog, catalog_fields);

static int check_ids(const struct catalog *catalog, struct record_report *report)
{
    for (size_t i = 0; i < catalog->images.count; i++)
        if (!digest_valid(catalog->images.items[i].id) ||
                !digest_valid(catalog->images.items[i].manifest))
            record_fault(report, RECORD_TOP("/images"), "entry %zu has no valid digests", i);
    return report->faults.count ? -EINVAL : 0;
}

int catalog_load(
        struct image_store *store, struct arena *arena, struct catalog *ret, struct error *err)
{
    _cleanup_buf_ struct buf text = {.max = FILE_LIMIT};
    _cleanup_json_ struct json_object *json = NULL;
    struct record_report report = {.arena = arena};
    struct catalog found = {0};

    int r = io_read_file_at(store->root_fd, FILE_NAME, &text);
    if (r == -ENOENT) {
        *ret = found;
        return 0;
    }
    if (r < 0)
        return error_sys(err, -r, "read %s/%s", store->options.root, FILE_NAME);
    r = json_parse(buf_text(&text), text.length, FILE_NAME, &json, err);
    if (r < 0)
        return error_prefix(err, "%s", store->options.root);
    record_read(&catalog_record, json, "", &found, &report);
    if (check_ids(&found, &report) < 0)
        return error_set(
                err, EINVAL, "%s/%s: %s", store->options.root, FILE_NAME, report.faults.words[0]);
    *ret = found;
    return 0;
}

static int save(struct image_store *store, const struct catalog *catalog, struct error *err)
{
    int r = recordfile_save(store->root_fd, FILE_NAME, &catalog_record, catalog,
            RECORDFILE_DURABLE | RECORDFILE_PRETTY);

    if (r == 0 && fsync(store->root_fd) < 0)
        r = -errno;
    if (r < 0)
        r = error_sys(err, -r, "write %s/%s", store->options.root, FILE_NAME);
    return store_advise(store, r, err);
}

int catalog_change(struct image_store *store, catalog_fn fn, void *data, struct error *err)
{
    _cleanup_arena_ struct arena arena = {0};
    struct catalog catalog;

    _cleanup_close_ int lock = store_lock(store, "lock", true, true, err);
    if (lock < 0)
        return lock;
    int r = catalog_load(store, &arena, &catalog, err);
    if (r == 0)
        r = fn(&catalog, &arena, data, err);
    if (r == 0)
        r = save(store, &catalog, err);
    return r < 0 ? r : 0;
}

struct catalog_image *catalog_by_id(struct catalog *catalog, const char *id)
{
    for (size_t i = 0; i < catalog->images.count; i++)
        if (str_equal(catalog->images.items[i].id, id))
            return &catalog->images.items[i];
    return NULL;
}

bool catalog_drop_word(struct strv *list, const char *word)
{
    for (size_t i = 0; i < list->count; i++) {
        if (!str_equal(list->words[i], word))
            continue;
        memmove(list->words + i, list->words + i + 1, (list->count - i) * sizeof(char *));
        list->count--;
        return true;
    }
    return false;
}

static void add_words(struct arena *arena, struct strv *into, const struct strv *words)
{
    const char *word;

    strv_foreach (word, words) {
        if (!strv_contains(into, word))
            strv_add(arena, into, word);
    }
}

void catalog_add(struct catalog *catalog, struct arena *arena, const struct catalog_image *image)
{
    size_t count = catalog->images.count;
    struct catalog_image *there;
    const char *name;

    for (size_t i = 0; i < count; i++)
        if (!str_equal(catalog->images.items[i].id, image->id))
            strv_foreach (name, &image->names)
                catalog_drop_word(&catalog->images.items[i].names, name);
    there = catalog_by_id(catalog, image->id);
    if (there) {
        there->manifest = image->manifest;
        add_words(arena, &there->names, &image->names);
        add_words(arena, &there->digests, &image->digests);
        return;
    }
    struct catalog_image *grown = arena_new_array(arena, struct catalog_image, count + 1);
    if (count)
        memcpy(grown, catalog->images.items, count * sizeof(*grown));
    grown[count] = *image;
    catalog->images.items = grown;
    catalog->images.count++;
}

void catalog_drop(struct catalog *catalog, struct catalog_image *image)
{
    *image = catalog->images.items[--catalog->images.count];
}

/* What a name may mean, as short names are resolved; last what `commit` and `load` call
 * localhost/NAME. */
static int list_candidates(struct image_store *store, const struct reference *name,
        struct arena *arena, struct reference **ret, size_t *ret_count, struct error *err)
{
    const struct registries *registries = store_registries(store, err);
    struct reference *candidates;
    struct reference local = *name;
    size_t count;
    int r = registries ? registries_resolve(registries, name, arena, &candidates, &count, err)
                       : -EINVAL;

    if (r < 0)
        return r;
    struct reference *all = arena_new_array(arena, struct reference, count + 1);
    memcpy(all, candidates, count * sizeof(*all));
    if (!name->domain)
        local.domain = "localhost";
    all[count] = reference_complete(&local, arena);
    *ret = all;
    *ret_count = count + 1;
    return 0;
}

/* By name: in full, or as short names are resolved. */
static struct catalog_image *find_by_name(struct image_store *store, struct catalog *catalog,
        const struct reference *name, struct arena *arena, const char **ret_name)
{
    struct reference *candidates;
    size_t count;

    if (list_candidates(store, name, arena, &candidates, &count, NULL) < 0)
        return NULL;
    for (size_t i = 0; i < count; i++) {
        struct reference one = candidates[i];
        const char *base = reference_name(&one, arena);
        const char *text = one.digest ? arena_printf(arena, "%s@%s", base, one.digest)
                                      : reference_text(&one, arena);
        for (size_t k = 0; k < catalog->images.count; k++) {
            struct catalog_image *image = &catalog->images.items[k];
            if (strv_contains(one.digest ? &image->digests : &image->names, text)) {
                *ret_name = text;
                return image;
            }
        }
    }
    return NULL;
}

static int find_by_id(
        struct catalog *catalog, const char *text, struct catalog_image **ret, struct error *err)
{
    const char *hex = str_after(text, "sha256:");
    struct catalog_image *found = NULL;

    hex = hex ? hex : text;
    if (strlen(hex) < 3 || strspn(hex, "0123456789abcdef") != strlen(hex))
        return 0;
    for (size_t i = 0; i < catalog->images.count; i++) {
        struct catalog_image *image = &catalog->images.items[i];
        bool fits = str_starts(strchr(image->id, ':') + 1, hex) ||
                    (strlen(hex) == 64 && str_equal(strchr(image->manifest, ':') + 1, hex));
        if (!fits)
            continue;
        if (found)
            return error_set(err, EEXIST, "\"%s\" is the beginning of several image ids", text);
        found = image;
    }
    *ret = found;
    return found != NULL;
}

int catalog_find(struct image_store *store, struct catalog *catalog, const char *image,
        struct arena *arena, struct catalog_image **ret, const char **ret_name, struct error *err)
{
    struct reference name;
    struct error reason = ERROR_NONE;
    struct catalog_image *found = NULL;

    *ret_name = NULL;
    int r = find_by_id(catalog, image, &found, err);
    if (r < 0)
        return r;
    bool parsed = reference_parse(image, arena, &name, &reason) == 0;
    if (!found && parsed)
        found = find_by_name(store, catalog, &name, arena, ret_name);
    if (!found && !parsed && !digest_valid(image)) {
        if (err)
            *err = reason;
        return -EINVAL;
    }
    if (!found)
        return error_set(err, ENOENT, "no such image: %s", image);
    *ret = found;
    return 0;
}

/* The tags of one repository. */
static void add_names_of(const struct catalog *catalog, const char *repository, struct arena *arena,
        struct strv *names)
{
    const char *name;

    for (size_t i = 0; i < catalog->images.count; i++)
        strv_foreach (name, &catalog->images.items[i].names) {
            const char *rest = str_after(name, repository);
            if (rest && *rest == ':' && !strchr(rest, '/'))
                strv_add(arena, names, name);
        }
}

int catalog_names_of(struct image_store *store, const struct catalog *catalog,
        const char *repository, struct arena *arena, struct strv *ret, struct error *err)
{
    struct reference name;
    struct reference *candidates;
    struct strv names = {0};
    size_t count = 0;
    int r = reference_parse(repository, arena, &name, err);

    if (r == 0 && (name.tag || name.digest))
        r = error_set(err, EINVAL, "%s: all tags are wanted, so name none", repository);
    if (r == 0)
        r = list_candidates(store, &name, arena, &candidates, &count, err);
    for (size_t i = 0; i < count && r == 0 && !names.count; i++)
        add_names_of(catalog, reference_name(&candidates[i], arena), arena, &names);
    if (r == 0 && !names.count)
        r = error_set(err, ENOENT, "no such image: %s has no tag here", repository);
    if (r == 0)
        *ret = names;
    return r;
}
