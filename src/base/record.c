#include "base/record.h"

#include <inttypes.h>
#include <stdarg.h>

#define NAMES_MAX 96

void record_fault(struct record_report *report, const char *pointer, const char *format, ...)
{
    va_list args;

    if (report->faults.count >= RECORD_FAULTS_MAX)
        return;
    va_start(args, format);
    char *text = arena_vprintf(report->arena, format, args);
    va_end(args);
    strv_add(report->arena, &report->faults,
            arena_printf(report->arena, "%s: %s", *pointer ? pointer : "/", text));
}

void record_warn(struct record_report *report, const char *pointer, const char *format, ...)
{
    va_list args;

    if (report->warnings.count >= RECORD_FAULTS_MAX)
        return;
    va_start(args, format);
    char *text = arena_vprintf(report->arena, format, args);
    va_end(args);
    strv_add(report->arena, &report->warnings,
            arena_printf(report->arena, "%s: %s", *pointer ? pointer : "/", text));
}

static const char *type_name(enum json_type type)
{
    switch (type) {
    case json_type_null:
        return "null";
    case json_type_boolean:
        return "a boolean";
    case json_type_double:
        return "a number with a fraction or beyond 64 bits";
    case json_type_int:
        return "an integer";
    case json_type_object:
        return "an object";
    case json_type_array:
        return "an array";
    case json_type_string:
        return "a string";
    }
    return "something else";
}

static bool expect(struct json_object *json, enum json_type type, const char *pointer,
        struct record_report *report)
{
    enum json_type found = json_object_get_type(json);

    if (found == type)
        return true;
    record_fault(report, pointer, "expected %s, found %s", type_name(type), type_name(found));
    return false;
}

/* An integer within [min, max]. json-c clamps on conversion, so the sign is looked at first. */
static bool read_signed(struct json_object *json, int64_t min, int64_t max, const char *pointer,
        struct record_report *report, int64_t *ret)
{
    if (!expect(json, json_type_int, pointer, report))
        return false;
    int64_t value = json_object_get_int64(json);
    bool too_large = value == INT64_MAX && json_object_get_uint64(json) > (uint64_t)INT64_MAX;
    if (too_large || value < min || value > max) {
        record_fault(report, pointer, "%s is not between %" PRId64 " and %" PRId64, json_text(json),
                min, max);
        return false;
    }
    *ret = value;
    return true;
}

static bool read_unsigned(struct json_object *json, uint64_t max, const char *pointer,
        struct record_report *report, uint64_t *ret)
{
    if (!expect(json, json_type_int, pointer, report))
        return false;
    uint64_t value = json_object_get_uint64(json);
    if (json_object_get_int64(json) < 0 || value > max) {
        record_fault(report, pointer, "%s is not between 0 and %" PRIu64, json_text(json), max);
        return false;
    }
    *ret = value;
    return true;
}

static const char *read_string(
        struct json_object *json, const char *pointer, struct record_report *report)
{
    if (!expect(json, json_type_string, pointer, report))
        return NULL;
    const char *text = json_object_get_string(json);
    size_t length = (size_t)json_object_get_string_len(json);
    if (strlen(text) != length) {
        record_fault(report, pointer, "the string has a NUL character inside");
        return NULL;
    }
    return arena_strndup(report->arena, text, length);
}

static const char *item_pointer(struct record_report *report, const char *pointer, size_t index)
{
    return arena_printf(report->arena, "%s/%zu", pointer, index);
}

/* RFC 6901: "~" is written ~0 and "/" ~1. */
static const char *member_pointer(
        struct record_report *report, const char *pointer, const char *name)
{
    struct buf text = {0};

    buf_add_str(&text, pointer);
    buf_add_char(&text, '/');
    for (; *name; name++) {
        if (*name == '~' || *name == '/')
            buf_add_str(&text, *name == '~' ? "~0" : "~1");
        else
            buf_add_char(&text, *name);
    }
    char *copy = arena_strdup(report->arena, buf_text(&text));
    buf_free(&text);
    return copy;
}

static void read_strv(struct json_object *json, const char *pointer, struct strv *list,
        struct record_report *report)
{
    if (!expect(json, json_type_array, pointer, report))
        return;
    for (size_t i = 0; i < json_object_array_length(json); i++) {
        const char *text = read_string(
                json_object_array_get_idx(json, i), item_pointer(report, pointer, i), report);
        if (text)
            strv_add(report->arena, list, text);
    }
}

static void read_map(struct json_object *json, const char *pointer, struct record_map *map,
        struct record_report *report)
{
    if (!expect(json, json_type_object, pointer, report))
        return;
    map->items = arena_new_array(
            report->arena, struct record_pair, (size_t)json_object_object_length(json));
    json_object_object_foreach(json, key, value)
    {
        const char *text = read_string(value, member_pointer(report, pointer, key), report);
        if (text)
            map->items[map->count++] = (struct record_pair){arena_strdup(report->arena, key), text};
    }
}

struct number_list {
    void *items;
    size_t count;
};

static void read_numbers(struct json_object *json, const char *pointer, bool wide,
        struct number_list *list, struct record_report *report)
{
    if (!expect(json, json_type_array, pointer, report))
        return;
    size_t count = json_object_array_length(json);
    list->items = arena_array(report->arena, wide ? 8 : 4, count);
    for (size_t i = 0; i < count; i++) {
        uint64_t value;
        if (!read_unsigned(json_object_array_get_idx(json, i), wide ? UINT64_MAX : UINT32_MAX,
                    item_pointer(report, pointer, i), report, &value))
            continue;
        if (wide)
            ((uint64_t *)list->items)[list->count++] = value;
        else
            ((uint32_t *)list->items)[list->count++] = (uint32_t)value;
    }
}

static void read_list(const struct record *record, struct json_object *json, const char *pointer,
        struct number_list *list, struct record_report *report)
{
    if (!expect(json, json_type_array, pointer, report))
        return;
    list->count = json_object_array_length(json);
    list->items = arena_array(report->arena, record->size, list->count);
    for (size_t i = 0; i < list->count; i++)
        record_read(record, json_object_array_get_idx(json, i), item_pointer(report, pointer, i),
                (char *)list->items + i * record->size, report);
}

static void read_dict(const struct record *record, struct json_object *json, const char *pointer,
        struct number_list *list, struct record_report *report)
{
    if (!expect(json, json_type_object, pointer, report))
        return;
    list->items = arena_array(report->arena, record->size, (size_t)json_object_object_length(json));
    json_object_object_foreach(json, key, value)
    {
        char *item = (char *)list->items + list->count++ * record->size;
        *(const char **)item = arena_strdup(report->arena, key);
        record_read(record, value, member_pointer(report, pointer, key), item, report);
    }
}

static void read_scalar(const struct field *field, struct json_object *json, const char *pointer,
        void *at, struct record_report *report)
{
    int64_t i;
    uint64_t u;

    switch (field->type) {
    case FIELD_STR:
        *(const char **)at = read_string(json, pointer, report);
        break;
    case FIELD_BOOL:
        if (expect(json, json_type_boolean, pointer, report))
            *(bool *)at = json_object_get_boolean(json);
        break;
    case FIELD_OPT_BOOL:
        if (expect(json, json_type_boolean, pointer, report))
            *(struct opt_bool *)at = (struct opt_bool){true, json_object_get_boolean(json)};
        break;
    case FIELD_I32:
        if (read_signed(json, INT32_MIN, INT32_MAX, pointer, report, &i))
            *(int *)at = (int)i;
        break;
    case FIELD_I64:
        if (read_signed(json, INT64_MIN, INT64_MAX, pointer, report, &i))
            *(int64_t *)at = i;
        break;
    case FIELD_OPT_I64:
        if (read_signed(json, INT64_MIN, INT64_MAX, pointer, report, &i))
            *(struct opt_i64 *)at = (struct opt_i64){true, i};
        break;
    case FIELD_U32:
        if (read_unsigned(json, UINT32_MAX, pointer, report, &u))
            *(uint32_t *)at = (uint32_t)u;
        break;
    case FIELD_U64:
        if (read_unsigned(json, UINT64_MAX, pointer, report, &u))
            *(uint64_t *)at = u;
        break;
    case FIELD_OPT_U64:
        if (read_unsigned(json, UINT64_MAX, pointer, report, &u))
            *(struct opt_u64 *)at = (struct opt_u64){true, u};
        break;
    default:
        break;
    }
}

static void read_field(const struct field *field, struct json_object *json, const char *pointer,
        void *at, struct record_report *report)
{
    switch (field->type) {
    case FIELD_STRV:
        read_strv(json, pointer, at, report);
        break;
    case FIELD_MAP:
        read_map(json, pointer, at, report);
        break;
    case FIELD_U32S:
    case FIELD_U64S:
        read_numbers(json, pointer, field->type == FIELD_U64S, at, report);
        break;
    case FIELD_RECORD:
        record_read(field->record, json, pointer, at, report);
        break;
    case FIELD_POINTER:
        *(void **)at = arena_alloc(report->arena, field->record->size);
        record_read(field->record, json, pointer, *(void **)at, report);
        break;
    case FIELD_LIST:
        read_list(field->record, json, pointer, at, report);
        break;
    case FIELD_DICT:
        read_dict(field->record, json, pointer, at, report);
        break;
    case FIELD_JSON:
        *(struct json_object **)at = json;
        break;
    default:
        read_scalar(field, json, pointer, at, report);
        break;
    }
}

static const struct field *find_field(const struct record *record, const char *name)
{
    for (size_t i = 0; i < record->count; i++)
        if (str_equal(record->fields[i].name, name))
            return &record->fields[i];
    return NULL;
}

static void warn_unknown(const struct record *record, const char *name, const char *pointer,
        struct record_report *report)
{
    const char *names[NAMES_MAX];
    size_t count = 0;

    for (; count < record->count && count < NAMES_MAX; count++)
        names[count] = record->fields[count].name;
    const char *closest = str_closest(name, names, count);
    if (closest)
        record_warn(report, pointer, "unknown member; did you mean \"%s\"?", closest);
    else
        record_warn(report, pointer, "unknown member, ignored");
}

void record_read(const struct record *record, struct json_object *json, const char *pointer,
        void *into, struct record_report *report)
{
    if (!expect(json, json_type_object, pointer, report))
        return;
    json_object_object_foreach(json, name, value)
    {
        const struct field *field = find_field(record, name);
        if (field && value)
            read_field(field, value, member_pointer(report, pointer, name),
                    (char *)into + field->offset, report);
        else if (!field)
            warn_unknown(record, name, member_pointer(report, pointer, name), report);
    }
    for (size_t i = 0; i < record->count; i++)
        if (record->fields[i].required && !json_get(json, record->fields[i].name))
            record_fault(report, member_pointer(report, pointer, record->fields[i].name),
                    "required, but missing");
}

static struct json_object *write_list(const struct record *record, const struct number_list *list)
{
    struct json_object *array = json_object_new_array();

    for (size_t i = 0; i < list->count; i++)
        json_object_array_add(
                array, record_write(record, (const char *)list->items + i * record->size));
    return array;
}

static struct json_object *write_dict(const struct record *record, const struct number_list *list)
{
    struct json_object *object = json_object_new_object();

    for (size_t i = 0; i < list->count; i++) {
        const char *item = (const char *)list->items + i * record->size;
        json_object_object_add(object, *(const char *const *)item, record_write(record, item));
    }
    return object;
}

static struct json_object *write_strv(const struct strv *list)
{
    struct json_object *array = json_object_new_array();

    for (size_t i = 0; i < list->count; i++)
        json_object_array_add(array, json_object_new_string(list->words[i]));
    return array;
}

static struct json_object *write_map(const struct record_map *map)
{
    struct json_object *object = json_object_new_object();

    for (size_t i = 0; i < map->count; i++)
        json_add_str(object, map->items[i].key, map->items[i].value);
    return object;
}

static struct json_object *write_numbers(const struct number_list *list, bool wide)
{
    struct json_object *array = json_object_new_array();

    for (size_t i = 0; i < list->count; i++)
        json_object_array_add(
                array, json_object_new_uint64(wide ? ((const uint64_t *)list->items)[i]
                                                   : ((const uint32_t *)list->items)[i]));
    return array;
}

/* NULL when the member is not set. */
static struct json_object *write_scalar(enum field_type type, const void *at)
{
    const struct opt_i64 *opt_i64 = at;
    const struct opt_u64 *opt_u64 = at;
    const struct opt_bool *opt_bool = at;

    switch (type) {
    case FIELD_STR:
        return *(char *const *)at ? json_object_new_string(*(char *const *)at) : NULL;
    case FIELD_BOOL:
        return *(const bool *)at ? json_object_new_boolean(true) : NULL;
    case FIELD_I32:
        return *(const int *)at ? json_object_new_int(*(const int *)at) : NULL;
    case FIELD_U32:
        return *(const uint32_t *)at ? json_object_new_uint64(*(const uint32_t *)at) : NULL;
    case FIELD_I64:
        return *(const int64_t *)at ? json_object_new_int64(*(const int64_t *)at) : NULL;
    case FIELD_U64:
        return *(const uint64_t *)at ? json_object_new_uint64(*(const uint64_t *)at) : NULL;
    case FIELD_OPT_I64:
        return opt_i64->set ? json_object_new_int64(opt_i64->value) : NULL;
    case FIELD_OPT_U64:
        return opt_u64->set ? json_object_new_uint64(opt_u64->value) : NULL;
    case FIELD_OPT_BOOL:
        return opt_bool->set ? json_object_new_boolean(opt_bool->value) : NULL;
    default:
        return NULL;
    }
}

static struct json_object *write_field(const struct field *field, const void *at)
{
    const struct number_list *list = at;

    switch (field->type) {
    case FIELD_STRV:
        return ((const struct strv *)at)->count ? write_strv(at) : NULL;
    case FIELD_MAP:
        return ((const struct record_map *)at)->count ? write_map(at) : NULL;
    case FIELD_U32S:
    case FIELD_U64S:
        return list->count ? write_numbers(list, field->type == FIELD_U64S) : NULL;
    case FIELD_RECORD: {
        struct json_object *object = record_write(field->record, at);
        if (json_object_object_length(object) > 0)
            return object;
        json_object_put(object);
        return NULL;
    }
    case FIELD_POINTER:
        return *(void *const *)at ? record_write(field->record, *(void *const *)at) : NULL;
    case FIELD_LIST:
        return list->count ? write_list(field->record, list) : NULL;
    case FIELD_DICT:
        return list->count ? write_dict(field->record, list) : NULL;
    case FIELD_JSON:
        return *(struct json_object *const *)at ? json_object_get(*(struct json_object *const *)at)
                                                : NULL;
    default:
        return write_scalar(field->type, at);
    }
}

struct json_object *record_write(const struct record *record, const void *from)
{
    struct json_object *object = json_object_new_object();

    for (size_t i = 0; i < record->count; i++) {
        const struct field *field = &record->fields[i];
        struct json_object *value = write_field(field, (const char *)from + field->offset);
        if (value)
            json_object_object_add(object, field->name, value);
    }
    return object;
}
