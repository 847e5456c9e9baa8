#include "observe/images.h"

#include <fnmatch.h>
#include <stdlib.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/moment.h"
#include "base/utc.h"
#include "observe/format.h"
#include "observe/rows.h"
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
    char text[UTC_TEXT_SIZE];

    return seconds == 0 ? "" : arena_printf(arena, "%sZ", utc_text(seconds, text));
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
    const struct strv *texts;
    const char *reference; /* NULL: none */
    int64_t before, since; /* when the images of the filters were made; 0: not asked */
    bool asks_until;
    int64_t until; /* seconds since 1970 */
    int dangling;  /* 1: only these; 0: none of these; -1: not asked */
};

static bool name_fits(const char *pattern, const char *name)
{
    const char *tag = tag_of(name);
    char bare[512];

    snprintf(bare, sizeof(bare), "%.*s", tag ? (int)(tag - name) : 500, name);
    return fnmatch(pattern, name, 0) == 0 || fnmatch(pattern, familiar(name), 0) == 0 ||
           fnmatch(pattern, bare, 0) == 0 || fnmatch(pattern, familiar(bare), 0) == 0;
}

/* Also without the registry, and without the folders there, as Podman has it: "tool" and
 * "team/tool" are "host:5000/team/tool". */
static bool reference_fits(const char *pattern, const char *name)
{
    while (name) {
        if (name_fits(pattern, name))
            return true;
        const char *slash = strchr(name, '/');
        name = slash ? slash + 1 : NULL;
    }
    return false;
}

/* A new object; empty when it has none. */
static struct json_object *labels_of(const struct images_filter *filter, const char *id)
{
    _cleanup_json_ struct json_object *json = NULL;
    struct json_object *labels = NULL;

    if (image_inspect(filter->store, id, &json, NULL) == 0)
        labels = json_get(json_get(json, "Config"), "Labels");
    return labels ? json_object_get(labels) : json_object_new_object();
}

static bool has_label(const struct images_filter *filter, const char *id, const char *wanted)
{
    _cleanup_json_ struct json_object *labels = labels_of(filter, id);
    size_t length = strcspn(wanted, "=");
    const char *key = arena_printf(filter->arena, "%.*s", (int)length, wanted);
    const char *value = json_get_str(labels, key);
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
    if ((value = str_after(text, "until="))) {
        int64_t moment;
        int r = moment_read(value, &moment, err);
        filter->asks_until = true;
        filter->until = r < 0 ? 0 : moment / 1000000000;
        return r < 0 ? error_prefix(err, "--filter %s", text) : 0;
    }
    if ((value = str_after(text, "before=")))
        return find_time(filter, value, &filter->before, err);
    if ((value = str_after(text, "since=")) || (value = str_after(text, "after=")))
        return find_time(filter, value, &filter->since, err);
    if (str_starts(text, "reference=") || str_starts(text, "label=") ||
            str_starts(text, "label!=") || str_starts(text, "id="))
        return 0;
    return error_set(err, EINVAL,
            "--filter %s: write dangling=true, reference=PATTERN, id=ID, label=KEY[=VALUE], "
            "label!=KEY[=VALUE], before=IMAGE, since=IMAGE or until=TIME",
            text);
}

static int read_filters(struct images_filter *filter, struct error *err)
{
    const char *text;

    strv_foreach (text, filter->texts) {
        int r = read_filter(filter, text, err);
        if (r < 0)
            return r;
    }
    return 0;
}

/* With "sha256:" or without. */
static bool has_id(const char *id, const char *begun)
{
    const char *hex = str_after(id, "sha256:");

    return str_starts(id, begun) || (hex && str_starts(hex, begun));
}

static bool image_wanted(const struct images_filter *filter, const struct image_info *image)
{
    const char *text;

    if (filter->dangling >= 0 && filter->dangling != (image->names.count == 0))
        return false;
    if (filter->asks_until && image->created >= filter->until)
        return false;
    if ((filter->before && image->created >= filter->before) ||
            (filter->since && image->created <= filter->since))
        return false;
    strv_foreach (text, filter->texts) {
        const char *label = str_after(text, "label=");
        const char *without = str_after(text, "label!=");
        const char *id = str_after(text, "id=");
        if ((label && !has_label(filter, image->id, label)) ||
                (without && has_label(filter, image->id, without)) ||
                (id && !has_id(image->id, id)))
            return false;
    }
    return true;
}

/* Several references: one has to fit. */
static bool name_wanted(const struct images_filter *filter, const char *name)
{
    const char *text;
    bool asked = filter->reference != NULL;

    if (asked && reference_fits(filter->reference, name))
        return true;
    strv_foreach (text, filter->texts) {
        const char *pattern = str_after(text, "reference=");
        if (pattern && reference_fits(pattern, name))
            return true;
        asked |= pattern != NULL;
    }
    return !asked;
}

int images_choose(struct image_store *store, const struct strv *filters, struct arena *arena,
        struct strv *ret, struct error *err)
{
    struct images_filter filter = {
            .store = store, .arena = arena, .texts = filters, .dangling = -1};
    struct strv ids = {0};
    struct image_info *images;
    size_t count;
    int r = read_filters(&filter, err);

    if (r == 0)
        r = image_list(store, arena, &images, &count, err);
    for (size_t i = 0; r == 0 && i < count; i++) {
        bool named = name_wanted(&filter, "<none>:<none>");
        const char *name;
        strv_foreach (name, &images[i].names) {
            named = named || name_wanted(&filter, name);
        }
        if (named && image_wanted(&filter, &images[i]))
            strv_add(arena, &ids, images[i].id);
    }
    if (r == 0)
        *ret = ids;
    return r;
}

/* ---- the list -------------------------------------------------------------------------------- */

static const char images_usual[] =
        "{{.Repository}}\t{{.Tag}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}";
static const char images_with_digests[] =
        "{{.Repository}}\t{{.Tag}}\t{{.Digest}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}";
static const char *const images_names[] = {"ID", "IMAGE ID", "CreatedSince", "CREATED", NULL};

static struct json_object *array_of(const struct strv *list)
{
    struct json_object *array = json_object_new_array();
    const char *word;

    strv_foreach (word, list) {
        json_object_array_add(array, json_object_new_string(word));
    }
    return array;
}

/* They stand in the configuration, which is read where somebody asks for it. */
static bool wants_labels(const char *format)
{
    return format && (strstr(format, "json") || strstr(format, ".Label"));
}

/* `name` NULL: the image has none. */
static void add_name(struct arena *arena, const char *name, struct json_object *row)
{
    const char *tag = name ? tag_of(name) : NULL;

    json_add_str(row, "Repository",
            !name ? "<none>"
            : tag ? arena_printf(arena, "%.*s", (int)(tag - name), name)
                  : name);
    json_add_str(row, "Tag", tag ? tag + 1 : "<none>");
}

void images_add_name(struct arena *arena, const struct image_info *image, struct json_object *row)
{
    add_name(arena, image->names.count ? image->names.words[0] : NULL, row);
    json_add_str(row, "ID", short_id(arena, image->id, false));
    json_add_str(row, "CreatedSince", age_text(arena, image->created));
    json_add_str(row, "Size", table_bytes(arena, image->size));
}

static struct json_object *image_row(const struct images_filter *filter,
        const struct images_choice *choice, const struct image_info *image, const char *name)
{
    struct arena *arena = filter->arena;
    struct json_object *row = json_object_new_object();

    add_name(arena, name, row);
    json_add_str(row, "ID", short_id(arena, image->id, choice->no_trunc));
    json_add_str(row, "Id", image->id);
    json_add_str(row, "Digest", image->digest);
    json_object_object_add(row, "Names", array_of(&image->names));
    json_object_object_add(row, "RepoDigests", array_of(&image->digests));
    json_add_str(row, "Platform", image->platform);
    json_object_object_add(row, "Created", json_object_new_int64(image->created));
    json_add_str(row, "CreatedAt", when_text(arena, image->created));
    json_add_str(row, "CreatedSince", age_text(arena, image->created));
    json_add_str(row, "Size", table_bytes(arena, image->size));
    json_object_object_add(row, "Bytes", json_object_new_uint64(image->size));
    if (wants_labels(choice->format))
        json_object_object_add(row, "Labels", labels_of(filter, image->id));
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

/* A row for each name; with ids alone one for each image. */
static void add_rows(const struct images_filter *filter, const struct images_choice *choice,
        const struct image_info *image, struct json_object *rows)
{
    const char *name;

    if (!image_wanted(filter, image))
        return;
    strv_foreach (name, &image->names) {
        if (!name_wanted(filter, name))
            continue;
        json_object_array_add(rows, image_row(filter, choice, image, name));
        if (choice->quiet)
            return;
    }
    if (image->names.count == 0 && name_wanted(filter, "<none>:<none>"))
        json_object_array_add(rows, image_row(filter, choice, image, NULL));
}

/* By the member that a word of --sort means; what is alike there stays the newest first. */
static int compare_rows(struct json_object *one, struct json_object *other, const char *word)
{
    if (str_equal(word, "size")) {
        int64_t first = json_get_int(one, "Bytes", 0);
        int64_t second = json_get_int(other, "Bytes", 0);
        return (first > second) - (first < second);
    }
    const char *member = str_equal(word, "id")    ? "Id"
                         : str_equal(word, "tag") ? "Tag"
                                                  : "Repository";
    return strcmp(json_get_str(one, member), json_get_str(other, member));
}

int images_print(
        struct image_store *store, const struct images_choice *choice, FILE *out, struct error *err)
{
    const struct format_list list = {.usual = choice->digests ? images_with_digests : images_usual,
            .names = images_names,
            .no_heading = choice->no_heading};
    _cleanup_arena_ struct arena arena = {0};
    _cleanup_json_ struct json_object *rows = json_object_new_array();
    struct images_filter filter = {.store = store,
            .arena = &arena,
            .texts = &choice->filters,
            .reference = choice->reference,
            .dangling = -1};
    struct image_info *images;
    size_t count;

    int r = read_filters(&filter, err);
    if (r == 0)
        r = image_list(store, &arena, &images, &count, err);
    if (r < 0)
        return r;
    if (count)
        qsort(images, count, sizeof(*images), newest_first);
    for (size_t i = 0; i < count; i++)
        add_rows(&filter, choice, &images[i], rows);
    if (choice->sort && !str_equal(choice->sort, "created"))
        rows_sort(rows, compare_rows, choice->sort);
    if (choice->quiet)
        return format_each(&arena, "{{.ID}}", rows, out, err);
    return format_print(&arena, choice->format, &list, rows, out, err);
}

/* ---- history --------------------------------------------------------------------------------- */

static const char history_usual[] =
        "{{.ID}}\t{{.CreatedSince}}\t{{.CreatedBy}}\t{{.Size}}\t{{.Comment}}";
static const char *const history_names[] = {"ID", "IMAGE", "CreatedSince", "CREATED", NULL};

/* `id` NULL: of the steps before the last one, nobody keeps images. */
static struct json_object *step_row(
        struct arena *arena, const struct image_step *step, const char *id, bool whole, bool plain)
{
    struct json_object *row = json_object_new_object();
    const char *by = step->created_by ? step->created_by : "";

    json_add_str(row, "ID", id ? short_id(arena, id, whole) : "<missing>");
    json_add_str(row, "CreatedBy", whole ? by : table_cut(arena, by, CREATED_BY_WIDTH));
    json_add_str(row, "CreatedAt", when_text(arena, step->created));
    json_add_str(row, "CreatedSince",
            plain ? when_text(arena, step->created) : age_text(arena, step->created));
    json_add_str(row, "Comment", step->comment ? step->comment : "");
    json_add_str(row, "Layer", step->diff_id ? step->diff_id : "");
    json_add_str(row, "Size",
            plain ? arena_printf(arena, "%llu", (unsigned long long)step->size)
                  : table_bytes(arena, step->size));
    json_object_object_add(row, "Bytes", json_object_new_uint64(step->size));
    return row;
}

int images_print_history(struct image_store *store, const char *image,
        const struct images_choice *choice, FILE *out, struct error *err)
{
    const struct format_list list = {history_usual, history_names};
    _cleanup_arena_ struct arena arena = {0};
    _cleanup_json_ struct json_object *rows = json_object_new_array();
    bool whole = choice->no_trunc || choice->format;
    bool plain = choice->human.set && !choice->human.value;
    struct image_info info;
    struct image_step *steps;
    size_t count;

    int r = image_find(store, image, &arena, &info, err);
    if (r == 0)
        r = image_history(store, image, &arena, &steps, &count, err);
    if (r < 0)
        return r;
    for (size_t i = 0; i < count; i++)
        json_object_array_add(
                rows, step_row(&arena, &steps[i], i == 0 ? info.id : NULL, whole, plain));
    if (choice->quiet)
        return format_each(&arena, "{{.ID}}", rows, out, err);
    return format_print(&arena, choice->format, &list, rows, out, err);
}
