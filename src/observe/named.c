#include "observe/named.h"

#include <string.h>

#include "base/moment.h"

struct json_object *named_pairs_json(const struct record_map *map)
{
    struct json_object *json = json_object_new_object();

    for (size_t i = 0; i < map->count; i++)
        json_add_str(json, map->items[i].key, map->items[i].value);
    return json;
}

/* What follows "KEY=" in a filter. */
static const char *filter_value(const char *filter, const char *key)
{
    const char *rest = key ? str_after(filter, key) : NULL;

    return rest && *rest == '=' ? rest + 1 : NULL;
}

static int check_filters(
        const struct named_kind *kind, const struct strv *filters, struct error *err)
{
    const char *filter;

    strv_foreach (filter, filters) {
        const char *until = filter_value(filter, "until");
        int64_t moment;
        if (until && moment_read(until, &moment, err) < 0)
            return error_prefix(err, "--filter %.100s", filter);
        if (!until && !filter_value(filter, "label!") && !filter_value(filter, "id") &&
                !filter_value(filter, "name") && !filter_value(filter, "driver") &&
                !filter_value(filter, "label") && !filter_value(filter, kind->own_filter))
            return error_set(err, EINVAL, "--filter %.100s: write %s", filter, kind->filters);
    }
    return 0;
}

static bool has_label(struct arena *arena, struct json_object *row, const char *wanted)
{
    size_t length = strcspn(wanted, "=");
    const char *value = json_get_str(json_get(row, "Labels"), arena_strndup(arena, wanted, length));

    return value && (!wanted[length] || str_equal(value, wanted + length + 1));
}

/* Than a moment, or an age. */
static bool is_older(struct json_object *row, const char *than)
{
    const char *created = json_get_str(row, "CreatedAt");
    int64_t made;
    int64_t moment;

    return created && moment_read(created, &made, NULL) == 0 &&
           moment_read(than, &moment, NULL) == 0 && made < moment;
}

static int passes(struct engine *engine, const struct named_kind *kind, struct json_object *row,
        const char *filter, bool *ret, struct error *err)
{
    const char *name = json_get_str(row, "Name");
    const char *value;

    if ((value = filter_value(filter, "name")))
        *ret = strstr(name, value) != NULL;
    else if ((value = filter_value(filter, "driver")))
        *ret = str_equal(json_get_str(row, "Driver"), value);
    else if ((value = filter_value(filter, "label")))
        *ret = has_label(engine->arena, row, value);
    else if ((value = filter_value(filter, "label!")))
        *ret = !has_label(engine->arena, row, value);
    else if ((value = filter_value(filter, "id")))
        *ret = str_after(json_get_str(row, "Id"), value) != NULL;
    else if ((value = filter_value(filter, "until")))
        *ret = is_older(row, value);
    else
        return kind->own_passes(engine, name, filter_value(filter, kind->own_filter), ret, err);
    return 0;
}

static int passes_all(struct engine *engine, const struct named_kind *kind, struct json_object *row,
        const struct strv *filters, bool *ret, struct error *err)
{
    const char *filter;

    *ret = true;
    strv_foreach (filter, filters) {
        int r = *ret ? passes(engine, kind, row, filter, ret, err) : 0;
        if (r < 0)
            return r;
    }
    return 0;
}

int named_choose(struct engine *engine, const struct named_kind *kind, const struct strv *filters,
        struct json_object *rows, struct error *err)
{
    struct strv names = {0};
    const char *name;
    int r = check_filters(kind, filters, err);

    if (r == 0)
        r = kind->names(engine, &names, err);
    strv_foreach (name, &names) {
        _cleanup_json_ struct json_object *row = NULL;
        bool wanted = false;
        if (r < 0)
            break;
        if (kind->row(engine, name, &row, NULL) < 0)
            continue; /* gone meanwhile */
        r = passes_all(engine, kind, row, filters, &wanted, err);
        if (r == 0 && wanted)
            json_object_array_add(rows, json_object_get(row));
    }
    return r;
}

/* Each row's whole object in its place. */
static void widen(struct engine *engine, const struct named_kind *kind, struct json_object *rows)
{
    for (size_t i = 0; i < json_object_array_length(rows); i++) {
        const char *name = json_get_str(json_object_array_get_idx(rows, i), "Name");
        struct json_object *whole;
        if (kind->whole(engine, name, &whole, NULL) == 0)
            json_object_array_put_idx(rows, i, whole);
    }
}

int named_print(struct engine *engine, const struct named_kind *kind,
        const struct named_choice *choice, FILE *out, struct error *err)
{
    _cleanup_json_ struct json_object *rows = json_object_new_array();
    int r = named_choose(engine, kind, &choice->filters, rows, err);

    if (r < 0)
        return r;
    if (choice->quiet)
        return format_each(engine->arena, "{{.Name}}", rows, out, err);
    for (size_t i = 0; choice->no_trunc && i < json_object_array_length(rows); i++) {
        struct json_object *row = json_object_array_get_idx(rows, i);
        json_add_str(row, "ID", json_get_str(row, "Id"));
    }
    if (kind->whole && str_equal(choice->format, "json"))
        widen(engine, kind, rows);
    struct format_list list = kind->list;
    list.no_heading = choice->no_heading;
    return format_print(engine->arena, choice->format, &list, rows, out, err);
}
