#include "observe/images.h"

#include <fnmatch.h>
#include <stdlib.h>
#include <time.h>

#include "base/cleanup.h"
#include "observe/table.h"

#define SHORT_ID 12
#define CREATED_BY_WIDTH 45

static const char *short_id(struct arena *arena, const char *digest, bool whole)
{
    const char *hex = str_after(digest, "sha256:");

    return whole || !hex ? digest : arena_printf(arena, "%.*s", SHORT_ID, hex);
}

static const char *when_text(struct arena *arena, int64_t seconds)
{
    time_t when = (time_t)seconds;
    struct tm parts;
    char text[32];

    if (seconds == 0)
        return "";
    gmtime_r(&when, &parts);
    strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &parts);
    return arena_strdup(arena, text);
}

static const char *age_text(struct arena *arena, int64_t seconds)
{
    return seconds == 0
                   ? ""
                   : arena_printf(arena, "%s ago", table_since(arena, when_text(arena, seconds)));
}

/* Docker's and Podman's lists show "nginx", not "docker.io/library/nginx". */
static const char *familiar(const char *name)
{
    const char *rest = str_after(name, "docker.io/library/");

    if (!rest)
        rest = str_after(name, "docker.io/");
    return rest ? rest : name;
}

/* The tag starts behind the last ":" that no "/" follows. */
static const char *tag_of(const char *name)
{
    const char *colon = strrchr(name, ':');

    return colon && !strchr(colon, '/') ? colon : NULL;
}

/* ---- filters --------------------------------------------------------------------------------- */

struct images_filter {
    struct image_store *store;
    struct arena *arena;
    const struct images_choice *choice;
    int64_t before, since; /* when the images of the filters were made; 0: not asked */
    int dangling;          /* 1: only these; 0: none of these; -1: not asked */
};

static bool name_fits(const char *pattern, const char *name)
{
    const char *tag = tag_of(name);
    char bare[512];

    snprintf(bare, sizeof(bare), "%.*s", tag ? (int)(tag - name) : 500, name);
    return fnmatch(pattern, name, 0) == 0 || fnmatch(pattern, familiar(name), 0) == 0 ||
           fnmatch(pattern, bare, 0) == 0 || fnmatch(pattern, familiar(bare), 0) == 0;
}

/* Of an image that only has the built-in name of its host, "localhost/a" is "a" as well. */
static bool reference_fits(const char *pattern, const char *name)
{
    const char *local = str_after(name, "localhost/");

    return name_fits(pattern, name) || (local && name_fits(pattern, local));
}

static bool has_label(const struct images_filter *filter, const char *id, const char *wanted)
{
    _cleanup_json_ struct json_object *json = NULL;
    size_t length = strcspn(wanted, "=");

    if (image_inspect(filter->store, id, &json, NULL) < 0)
        return false;
    struct json_object *labels = json_get(json_get(json, "Config"), "Labels");
    const char *key = arena_printf(filter->arena, "%.*s", (int)length, wanted);
    const char *value = labels ? json_get_str(labels, key) : NULL;
    return value && (!wanted[length] || str_equal(value, wanted + length + 1));
}

static int find_time(
        const struct images_filter *filter, const char *image, int64_t *ret, struct error *err)
{
    struct image_info info;
    int r = image_find(filter->store, image, filter->arena, &info, err);

    if (r == 0)
        *ret = info.created;
    return r;
}

static int read_filter(struct images_filter *filter, const char *text, struct error *err)
{
    const char *value;

    if ((value = str_after(text, "dangling="))) {
        if (!str_equal(value, "true") && !str_equal(value, "false"))
            return error_set(err, EINVAL, "--filter %s: write dangling=true or =false", text);
        filter->dangling = str_equal(value, "true");
        return 0;
    }
    if ((value = str_after(text, "before=")))
        return find_time(filter, value, &filter->before, err);
    if ((value = str_after(text, "since=")) || (value = str_after(text, "after=")))
        return find_time(filter, value, &filter->since, err);
    if (str_starts(text, "reference=") || str_starts(text, "label="))
        return 0;
    return error_set(err, EINVAL,
            "--filter %s: write dangling=true, reference=PATTERN, label=KEY[=VALUE], before=IMAGE "
            "or since=IMAGE",
            text);
}

static int read_filters(struct images_filter *filter, struct error *err)
{
    const char *text;

    strv_foreach (text, &filter->choice->filters) {
        int r = read_filter(filter, text, err);
        if (r < 0)
            return r;
    }
    return 0;
}

static bool image_wanted(const struct images_filter *filter, const struct image_info *image)
{
    const char *text;

    if (filter->dangling >= 0 && filter->dangling != (image->names.count == 0))
        return false;
    if ((filter->before && image->created >= filter->before) ||
            (filter->since && image->created <= filter->since))
        return false;
    strv_foreach (text, &filter->choice->filters) {
        const char *label = str_after(text, "label=");
        if (label && !has_label(filter, image->id, label))
            return false;
    }
    return true;
}

/* Several references: one has to fit. */
static bool name_wanted(const struct images_filter *filter, const char *name)
{
    const char *text;
    bool asked = filter->choice->reference != NULL;

    if (asked && reference_fits(filter->choice->reference, name))
        return true;
    strv_foreach (text, &filter->choice->filters) {
        const char *pattern = str_after(text, "reference=");
        if (pattern && reference_fits(pattern, name))
            return true;
        asked |= pattern != NULL;
    }
    return !asked;
}

/* ---- the list -------------------------------------------------------------------------------- */

static void add_row(const struct images_filter *filter, struct table *table,
        const struct image_info *image, const char *name)
{
    struct arena *arena = table->arena;
    const char *tag = name ? tag_of(name) : NULL;
    const char *cells[6];
    size_t count = 0;

    cells[count++] = !name ? "<none>"
                     : tag ? arena_printf(arena, "%.*s", (int)(tag - name), name)
                           : name;
    cells[count++] = tag ? tag + 1 : "<none>";
    if (filter->choice->digests)
        cells[count++] = image->digest;
    cells[count++] = short_id(arena, image->id, filter->choice->no_trunc);
    cells[count++] = age_text(arena, image->created);
    cells[count] = table_bytes(arena, image->size);
    table_add(table, cells);
}

static struct json_object *array_of(const struct strv *list)
{
    struct json_object *array = json_object_new_array();
    const char *word;

    strv_foreach (word, list) {
        json_object_array_add(array, json_object_new_string(word));
    }
    return array;
}

static struct json_object *image_json(struct arena *arena, const struct image_info *image)
{
    struct json_object *row = json_object_new_object();

    json_add_str(row, "Id", image->id);
    json_add_str(row, "Digest", image->digest);
    json_object_object_add(row, "Names", array_of(&image->names));
    json_object_object_add(row, "RepoDigests", array_of(&image->digests));
    json_add_str(row, "Platform", image->platform);
    json_object_object_add(row, "Created", json_object_new_int64(image->created));
    json_add_str(row, "CreatedAt", when_text(arena, image->created));
    json_object_object_add(row, "Size", json_object_new_uint64(image->size));
    json_object_object_add(row, "Dangling", json_object_new_boolean(image->names.count == 0));
    return row;
}

static int newest_first(const void *a, const void *b)
{
    const struct image_info *x = a;
    const struct image_info *y = b;

    if (x->created != y->created)
        return x->created < y->created ? 1 : -1;
    return strcmp(x->id, y->id);
}

/* The rows of one image; whether there was one. */
static bool show_image(
        const struct images_filter *filter, struct table *table, const struct image_info *image)
{
    const char *name;
    bool any = false;

    strv_foreach (name, &image->names) {
        if (!name_wanted(filter, name))
            continue;
        any = true;
        if (table)
            add_row(filter, table, image, name);
    }
    if (image->names.count == 0 && name_wanted(filter, "<none>:<none>")) {
        any = true;
        if (table)
            add_row(filter, table, image, NULL);
    }
    return any;
}

static void print_quiet(const struct images_filter *filter, const struct image_info *images,
        size_t count, FILE *out)
{
    for (size_t i = 0; i < count; i++)
        if (image_wanted(filter, &images[i]) && show_image(filter, NULL, &images[i]))
            fprintf(out, "%s\n", short_id(filter->arena, images[i].id, filter->choice->no_trunc));
}

static void print_json(const struct images_filter *filter, const struct image_info *images,
        size_t count, FILE *out)
{
    _cleanup_json_ struct json_object *array = json_object_new_array();

    for (size_t i = 0; i < count; i++)
        if (image_wanted(filter, &images[i]) && show_image(filter, NULL, &images[i]))
            json_object_array_add(array, image_json(filter->arena, &images[i]));
    fprintf(out, "%s\n", json_text_pretty(array));
}

static void print_table(const struct images_filter *filter, const struct image_info *images,
        size_t count, FILE *out)
{
    static const char *const plain[] = {"REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE"};
    static const char *const full[] = {
            "REPOSITORY", "TAG", "DIGEST", "IMAGE ID", "CREATED", "SIZE"};
    bool digests = filter->choice->digests;
    struct table table = {
            .arena = filter->arena, .columns = digests ? ARRAY_SIZE(full) : ARRAY_SIZE(plain)};

    table_add(&table, digests ? full : plain);
    for (size_t i = 0; i < count; i++)
        if (image_wanted(filter, &images[i]))
            show_image(filter, &table, &images[i]);
    table_print(&table, out);
}

int images_print(
        struct image_store *store, const struct images_choice *choice, FILE *out, struct error *err)
{
    _cleanup_arena_ struct arena arena = {0};
    struct images_filter filter = {
            .store = store, .arena = &arena, .choice = choice, .dangling = -1};
    struct image_info *images;
    size_t count;

    int r = read_filters(&filter, err);
    if (r == 0)
        r = image_list(store, &arena, &images, &count, err);
    if (r < 0)
        return r;
    if (count)
        qsort(images, count, sizeof(*images), newest_first);
    if (choice->json)
        print_json(&filter, images, count, out);
    else if (choice->quiet)
        print_quiet(&filter, images, count, out);
    else
        print_table(&filter, images, count, out);
    return 0;
}

/* ---- history --------------------------------------------------------------------------------- */

static struct json_object *step_json(struct arena *arena, const struct image_step *step)
{
    struct json_object *row = json_object_new_object();

    json_add_str(row, "CreatedBy", step->created_by ? step->created_by : "");
    json_add_str(row, "CreatedAt", when_text(arena, step->created));
    json_add_str(row, "Comment", step->comment ? step->comment : "");
    json_add_str(row, "Layer", step->diff_id ? step->diff_id : "");
    json_object_object_add(row, "Size", json_object_new_uint64(step->size));
    return row;
}

static void add_step(struct table *table, const struct image_step *step, const char *id, bool whole)
{
    struct arena *arena = table->arena;
    const char *by = step->created_by ? step->created_by : "";

    if (!whole && strlen(by) > CREATED_BY_WIDTH)
        by = arena_printf(arena, "%.*s…", CREATED_BY_WIDTH - 1, by);
    const char *cells[] = {id ? short_id(arena, id, whole) : "<missing>",
            age_text(arena, step->created), by, table_bytes(arena, step->size), step->comment};
    table_add(table, cells);
}

int images_print_history(struct image_store *store, const char *image,
        const struct images_choice *choice, FILE *out, struct error *err)
{
    static const char *const heading[] = {"IMAGE", "CREATED", "CREATED BY", "SIZE", "COMMENT"};
    _cleanup_arena_ struct arena arena = {0};
    _cleanup_json_ struct json_object *array = json_object_new_array();
    struct table table = {.arena = &arena, .columns = ARRAY_SIZE(heading)};
    struct image_info info;
    struct image_step *steps;
    size_t count;

    int r = image_find(store, image, &arena, &info, err);
    if (r == 0)
        r = image_history(store, image, &arena, &steps, &count, err);
    if (r < 0)
        return r;
    table_add(&table, heading);
    for (size_t i = 0; i < count; i++) {
        if (choice->json)
            json_object_array_add(array, step_json(&arena, &steps[i]));
        else if (choice->quiet)
            fprintf(out, "%s\n",
                    i == 0 ? short_id(&arena, info.id, choice->no_trunc) : "<missing>");
        else
            add_step(&table, &steps[i], i == 0 ? info.id : NULL, choice->no_trunc);
    }
    if (choice->json)
        fprintf(out, "%s\n", json_text_pretty(array));
    else if (!choice->quiet)
        table_print(&table, out);
    return 0;
}

/* ---- df -------------------------------------------------------------------------------------- */

static void add_usage(struct table *table, const char *what, uint64_t total, uint64_t used,
        uint64_t bytes, uint64_t freeable)
{
    struct arena *arena = table->arena;
    const char *cells[] = {what, arena_printf(arena, "%llu", (unsigned long long)total),
            arena_printf(arena, "%llu", (unsigned long long)used), table_bytes(arena, bytes),
            arena_printf(arena, "%s (%u%%)", table_bytes(arena, freeable),
                    bytes ? (unsigned)(freeable * 100 / bytes) : 0)};

    table_add(table, cells);
}

static void print_usage_json(const struct image_usage *usage, FILE *out)
{
    const struct {
        const char *name;
        uint64_t value;
    } members[] = {{"Images", usage->images}, {"ImagesActive", usage->images_used},
            {"ImageBytes", usage->image_bytes}, {"ImageBytesReclaimable", usage->image_bytes_free},
            {"Roots", usage->roots}, {"RootBytes", usage->root_bytes},
            {"PartialBytes", usage->partial_bytes}};
    _cleanup_json_ struct json_object *row = json_object_new_object();

    for (size_t i = 0; i < ARRAY_SIZE(members); i++)
        json_object_object_add(row, members[i].name, json_object_new_uint64(members[i].value));
    fprintf(out, "%s\n", json_text_pretty(row));
}

int images_print_usage(struct image_store *store, bool json, FILE *out, struct error *err)
{
    static const char *const heading[] = {"TYPE", "TOTAL", "ACTIVE", "SIZE", "RECLAIMABLE"};
    _cleanup_arena_ struct arena arena = {0};
    struct table table = {.arena = &arena, .columns = ARRAY_SIZE(heading)};
    struct image_usage usage;

    int r = image_usage(store, &usage, err);
    if (r < 0)
        return r;
    if (json) {
        print_usage_json(&usage, out);
        return 0;
    }
    table_add(&table, heading);
    add_usage(&table, "Images", usage.images, usage.images_used, usage.image_bytes,
            usage.image_bytes_free);
    add_usage(&table, "Sandboxes", usage.roots, usage.roots, usage.root_bytes, 0);
    add_usage(&table, "Downloads", 0, 0, usage.partial_bytes, usage.partial_bytes);
    table_print(&table, out);
    return 0;
}
