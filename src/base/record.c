#include "base/record.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#define NAMES_MAX 96
#define FAULT_TEXT_MAX 1024
#define POINTER_NAME_MAX 128

/* Any RECORD_LIST. */
struct any_list {
    void *items;
    size_t count;
};

void *record_append(struct arena *arena, void *list, size_t size)
{
    struct any_list *any = list;
    char *items = arena_array(arena, size, any->count + 1);

    if (any->count)
        memcpy(items, any->items, size * any->count);
    any->items = items;
    return items + size * any->count++;
}

/* RFC 6901: "~" is written ~0 and "/" ~1. Long names are cut: somebody hostile may have chosen
 * them. */
static void add_name(struct buf *text, const char *name)
{
    size_t length = strlen(name);

    for (size_t i = 0; i < length && i < POINTER_NAME_MAX; i++) {
        if (name[i] == '~' || name[i] == '/')
            buf_add_str(text, name[i] == '~' ? "~0" : "~1");
        else
            buf_add_char(text, name[i]);
    }
    if (length > POINTER_NAME_MAX)
        buf_add_str(text, "...");
}

static void add_place(struct buf *text, const struct record_place *place)
{
    if (!place->parent) {
        buf_add_str(text, place->name);
        return;
    }
    add_place(text, place->parent);
    buf_add_char(text, '/');
    if (place->name)
        add_name(text, place->name);
    else
        buf_printf(text, "%zu", place->index);
}

const char *record_pointer(struct arena *arena, const struct record_place *place)
{
    _cleanup_buf_ struct buf text = {0};

    add_place(&text, place);
    return arena_strdup(arena, text.length ? buf_text(&text) : "/");
}

/* Whether the reader has found fault with the place, or with one above or below it. */
static bool follows_from(const struct record_report *report, const char *pointer)
{
    for (size_t i = 0; i < report->firm; i++) {
        const char *fault = report->faults.words[i];
        size_t length = strcspn(fault, ":");
        size_t common = strlen(pointer);
        common = common < length ? common : length;
        if (memcmp(fault, pointer, common) == 0 && strchr("/:", fault[common]) &&
                (pointer[common] == '/' || !pointer[common]))
            return true;
    }
    return false;
}

static void add_line(struct record_report *report, struct strv *list,
        const struct record_place *place, const char *format, va_list args)
{
    char text[FAULT_TEXT_MAX];

    if (list->count >= RECORD_FAULTS_MAX)
        return;
    vsnprintf(text, sizeof(text), format, args);
    const char *pointer = record_pointer(report->arena, place);
    if (follows_from(report, pointer))
        return;
    char *line = arena_printf(report->arena, "%s: %s", pointer, text);
    str_tame(line, ""); /* it may end on a terminal */
    strv_add(report->arena, list, line);
}

void record_fault(
        struct record_report *report, const struct record_place *place, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    add_line(report, &report->faults, place, format, args);
    va_end(args);
}

void record_warn(
        struct record_report *report, const struct record_place *place, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    add_line(report, &report->warnings, place, format, args);
    va_end(args);
}

int record_error(const struct record_report *report, const char *name, struct error *err)
{
    size_t count = report->faults.count;

    if (count == 0)
        return 0;
    if (count == 1)
        return error_set(err, EINVAL, "%s: %s", name, report->faults.words[0]);
    int r = error_set(err, EINVAL, "%s: %zu errors:", name, count);
    for (size_t i = 0; err && i < count; i++)
        error_append(err, "\n  %s", report->faults.words[i]);
    return r;
}

void record_pass_warnings(
        const struct record_report *report, const char *name, struct strv *warnings)
{
    for (size_t i = 0; warnings && i < report->warnings.count; i++)
        strv_add(report->arena, warnings,
                arena_printf(report->arena, "%s: %s", name, report->warnings.words[i]));
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

static bool expect(struct json_object *json, enum json_type type, const struct record_place *place,
        struct record_report *report)
{
    enum json_type found = json_object_get_type(json);

    if (found == type)
        return true;
    record_fault(report, place, "expected %s, found %s", type_name(type), type_name(found));
    return false;
}

/* An integer within [min, max]. json-c clamps on conversion, so the sign is looked at first. */
static bool read_signed(struct json_object *json, int64_t min, int64_t max,
        const struct record_place *place, struct record_report *report, int64_t *ret)
{
    if (!expect(json, json_type_int, place, report))
        return false;
    int64_t value = json_object_get_int64(json);
    bool too_large = value == INT64_MAX && json_object_get_uint64(json) > (uint64_t)INT64_MAX;
    if (too_large || value < min || value > max) {
        record_fault(report, place, "%s is not between %" PRId64 " and %" PRId64, json_text(json),
                min, max);
        return false;
    }
    *ret = value;
    return true;
}

static bool read_unsigned(struct json_object *json, uint64_t max, const struct record_place *place,
        struct record_report *report, uint64_t *ret)
{
    if (!expect(json, json_type_int, place, report))
        return false;
    uint64_t value = json_object_get_uint64(json);
    if (json_object_get_int64(json) < 0 || value > max) {
        record_fault(report, place, "%s is not between 0 and %" PRIu64, json_text(json), max);
        return false;
    }
    *ret = value;
    return true;
}

/* Whether the arena may take so much more; a fault when not. */
static bool fits(size_t bytes, const struct record_place *place, struct record_report *report)
{
    bool good = report->arena->used + bytes <= RECORD_MEMORY_MAX;

    if (!good)
        record_fault(report, place, "the text asks for more than %u MiB of memory in all",
                RECORD_MEMORY_MAX >> 20);
    return good;
}

/* Room for a list's items and an empty one behind them, which ends a list of words; NULL, and a
 * fault, when there are too many. */
static void *make_list(size_t count, size_t size, size_t max, const struct record_place *place,
        struct record_report *report)
{
    if (count > max) {
        record_fault(report, place, "%zu items, but at most %zu are allowed", count, max);
        return NULL;
    }
    return fits(count * size, place, report) ? arena_array(report->arena, size, count + 1) : NULL;
}

static const char *read_string(
        struct json_object *json, const struct record_place *place, struct record_report *report)
{
    if (!expect(json, json_type_string, place, report))
        return NULL;
    const char *text = json_object_get_string(json);
    size_t length = (size_t)json_object_get_string_len(json);
    if (memchr(text, 0, length)) {
        record_fault(report, place, "the string has a NUL character inside");
        return NULL;
    }
    return fits(length, place, report) ? arena_strndup(report->arena, text, length) : NULL;
}

static void read_strv(struct json_object *json, const struct record_place *place, struct strv *list,
        struct record_report *report)
{
    if (!expect(json, json_type_array, place, report))
        return;
    size_t count = json_object_array_length(json);
    char **words = make_list(count, sizeof(char *), RECORD_WORDS_MAX, place, report);
    if (!words)
        return;
    *list = (struct strv){words, 0, count + 1};
    for (size_t i = 0; i < count; i++) {
        const char *text =
                read_string(json_object_array_get_idx(json, i), RECORD_ITEM(place, i), report);
        if (text)
            words[list->count++] = (char *)text;
    }
}

static void read_map(struct json_object *json, const struct record_place *place,
        struct record_map *map, struct record_report *report)
{
    if (!expect(json, json_type_object, place, report))
        return;
    map->items = make_list((size_t)json_object_object_length(json), sizeof(struct record_pair),
            RECORD_WORDS_MAX, place, report);
    if (!map->items)
        return;
    json_object_object_foreach(json, key, value)
    {
        const char *text = read_string(value, RECORD_MEMBER(place, key), report);
        if (text && fits(strlen(key), place, report))
            map->items[map->count++] = (struct record_pair){arena_strdup(report->arena, key), text};
    }
}

static void read_numbers(struct json_object *json, const struct record_place *place, bool wide,
        struct any_list *list, struct record_report *report)
{
    if (!expect(json, json_type_array, place, report))
        return;
    size_t count = json_object_array_length(json);
    list->items = make_list(count, wide ? 8 : 4, RECORD_ITEMS_MAX, place, report);
    for (size_t i = 0; list->items && i < count; i++) {
        uint64_t value;
        if (!read_unsigned(json_object_array_get_idx(json, i), wide ? UINT64_MAX : UINT32_MAX,
                    RECORD_ITEM(place, i), report, &value))
            continue;
        if (wide)
            ((uint64_t *)list->items)[list->count++] = value;
        else
            ((uint32_t *)list->items)[list->count++] = (uint32_t)value;
    }
}

static void read_object(const struct record *record, struct json_object *json,
        const struct record_place *place, void *into, struct record_report *report);

static void read_list(const struct record *record, struct json_object *json,
        const struct record_place *place, struct any_list *list, struct record_report *report)
{
    if (!expect(json, json_type_array, place, report))
        return;
    size_t count = json_object_array_length(json);
    char *items = make_list(count, record->size, RECORD_ITEMS_MAX, place, report);
    if (!items)
        return;
    *list = (struct any_list){items, count};
    for (size_t i = 0; i < count; i++)
        read_object(record, json_object_array_get_idx(json, i), RECORD_ITEM(place, i),
                items + i * record->size, report);
}

static void read_dict(const struct record *record, struct json_object *json,
        const struct record_place *place, struct any_list *list, struct record_report *report)
{
    if (!expect(json, json_type_object, place, report))
        return;
    char *items = make_list(
            (size_t)json_object_object_length(json), record->size, RECORD_ITEMS_MAX, place, report);
    if (!items)
        return;
    list->items = items;
    json_object_object_foreach(json, key, value)
    {
        char *item = items + list->count * record->size;
        if (!fits(strlen(key), place, report))
            return;
        *(const char **)item = arena_strdup(report->arena, key);
        list->count++;
        read_object(record, value, RECORD_MEMBER(place, key), item, report);
    }
}

static void read_scalar(const struct field *field, struct json_object *json,
        const struct record_place *place, void *at, struct record_report *report)
{
    int64_t i;
    uint64_t u;

    switch (field->type) {
    case FIELD_STR:
        *(const char **)at = read_string(json, place, report);
        break;
    case FIELD_BOOL:
        if (expect(json, json_type_boolean, place, report))
            *(bool *)at = json_object_get_boolean(json);
        break;
    case FIELD_OPT_BOOL:
        if (expect(json, json_type_boolean, place, report))
            *(struct opt_bool *)at = (struct opt_bool){true, json_object_get_boolean(json)};
        break;
    case FIELD_I32:
        if (read_signed(json, INT32_MIN, INT32_MAX, place, report, &i))
            *(int *)at = (int)i;
        break;
    case FIELD_I64:
        if (read_signed(json, INT64_MIN, INT64_MAX, place, report, &i))
            *(int64_t *)at = i;
        break;
    case FIELD_OPT_I64:
        if (read_signed(json, INT64_MIN, INT64_MAX, place, report, &i))
            *(struct opt_i64 *)at = (struct opt_i64){true, i};
        break;
    case FIELD_U32:
        if (read_unsigned(json, UINT32_MAX, place, report, &u))
            *(uint32_t *)at = (uint32_t)u;
        break;
    case FIELD_U64:
        if (read_unsigned(json, UINT64_MAX, place, report, &u))
            *(uint64_t *)at = u;
        break;
    case FIELD_OPT_U32:
        if (read_unsigned(json, UINT32_MAX, place, report, &u))
            *(struct opt_u32 *)at = (struct opt_u32){true, (uint32_t)u};
        break;
    case FIELD_OPT_U64:
        if (read_unsigned(json, UINT64_MAX, place, report, &u))
            *(struct opt_u64 *)at = (struct opt_u64){true, u};
        break;
    default:
        break;
    }
}

static void read_field(const struct field *field, struct json_object *json,
        const struct record_place *place, void *at, struct record_report *report)
{
    switch (field->type) {
    case FIELD_STRV:
        read_strv(json, place, at, report);
        break;
    case FIELD_MAP:
        read_map(json, place, at, report);
        break;
    case FIELD_U32S:
    case FIELD_U64S:
        read_numbers(json, place, field->type == FIELD_U64S, at, report);
        break;
    case FIELD_RECORD:
        read_object(field->record, json, place, at, report);
        break;
    case FIELD_POINTER:
        if (!fits(field->record->size, place, report))
            break;
        *(void **)at = arena_alloc(report->arena, field->record->size);
        read_object(field->record, json, place, *(void **)at, report);
        break;
    case FIELD_LIST:
        read_list(field->record, json, place, at, report);
        break;
    case FIELD_DICT:
        read_dict(field->record, json, place, at, report);
        break;
    case FIELD_JSON:
        *(struct json_object **)at = json;
        break;
    default:
        read_scalar(field, json, place, at, report);
        break;
    }
}

static const struct field *find_field(const struct record *record, const char *name)
{
    for (size_t i = 0; i < record->count; i++)
        if (strcmp(record->fields[i].name, name) == 0)
            return &record->fields[i];
    return NULL;
}

static void warn_unknown(const struct record *record, const char *name,
        const struct record_place *place, struct record_report *report)
{
    const char *names[NAMES_MAX];
    size_t count = 0;

    for (; count < record->count && count < NAMES_MAX; count++)
        names[count] = record->fields[count].name;
    const char *closest = str_closest(name, names, count);
    if (closest)
        record_warn(report, RECORD_MEMBER(place, name), "unknown member; did you mean \"%s\"?",
                closest);
    else
        record_warn(report, RECORD_MEMBER(place, name), "unknown member, ignored");
}

static void check_required(const struct record *record, struct json_object *json,
        const struct record_place *place, struct record_report *report)
{
    for (size_t i = 0; i < record->count; i++)
        if (record->fields[i].presence == FIELD_MUST && !json_get(json, record->fields[i].name))
            record_fault(
                    report, RECORD_MEMBER(place, record->fields[i].name), "required, but missing");
}

static void read_object(const struct record *record, struct json_object *json,
        const struct record_place *place, void *into, struct record_report *report)
{
    if (!expect(json, json_type_object, place, report))
        return;
    json_object_object_foreach(json, name, value)
    {
        const struct field *field = find_field(record, name);
        if (!field)
            warn_unknown(record, name, place, report);
        else if (value && field->type != FIELD_IGNORED)
            read_field(
                    field, value, RECORD_MEMBER(place, name), (char *)into + field->offset, report);
    }
    check_required(record, json, place, report);
}

void record_read(const struct record *record, struct json_object *json, const char *pointer,
        void *into, struct record_report *report)
{
    read_object(record, json, RECORD_TOP(pointer), into, report);
}

static struct json_object *write_list(const struct record *record, const struct any_list *list)
{
    struct json_object *array = json_object_new_array();

    for (size_t i = 0; i < list->count; i++)
        json_object_array_add(
                array, record_write(record, (const char *)list->items + i * record->size));
    return array;
}

static struct json_object *write_dict(const struct record *record, const struct any_list *list)
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

static struct json_object *write_numbers(const struct any_list *list, bool wide)
{
    struct json_object *array = json_object_new_array();

    for (size_t i = 0; i < list->count; i++)
        json_object_array_add(
                array, json_object_new_uint64(wide ? ((const uint64_t *)list->items)[i]
                                                   : ((const uint32_t *)list->items)[i]));
    return array;
}

/* An optional scalar, NULL when it is not set. */
static struct json_object *write_opt(enum field_type type, const void *at)
{
    switch (type) {
    case FIELD_OPT_I64:
        return ((const struct opt_i64 *)at)->set
                       ? json_object_new_int64(((const struct opt_i64 *)at)->value)
                       : NULL;
    case FIELD_OPT_U64:
        return ((const struct opt_u64 *)at)->set
                       ? json_object_new_uint64(((const struct opt_u64 *)at)->value)
                       : NULL;
    case FIELD_OPT_U32:
        return ((const struct opt_u32 *)at)->set
                       ? json_object_new_uint64(((const struct opt_u32 *)at)->value)
                       : NULL;
    case FIELD_OPT_BOOL:
        return ((const struct opt_bool *)at)->set
                       ? json_object_new_boolean(((const struct opt_bool *)at)->value)
                       : NULL;
    default:
        return NULL;
    }
}

static struct json_object *write_int(int64_t value, bool always)
{
    return value || always ? json_object_new_int64(value) : NULL;
}

static struct json_object *write_uint(uint64_t value, bool always)
{
    return value || always ? json_object_new_uint64(value) : NULL;
}

static struct json_object *write_string(const char *text, bool always)
{
    return text || always ? json_object_new_string(text ? text : "") : NULL;
}

/* NULL when the member is not set, unless it is always written. */
static struct json_object *write_scalar(enum field_type type, const void *at, bool always)
{
    switch (type) {
    case FIELD_STR:
        return write_string(*(const char *const *)at, always);
    case FIELD_BOOL:
        return *(const bool *)at || always ? json_object_new_boolean(*(const bool *)at) : NULL;
    case FIELD_I32:
        return write_int(*(const int *)at, always);
    case FIELD_I64:
        return write_int(*(const int64_t *)at, always);
    case FIELD_U32:
        return write_uint(*(const uint32_t *)at, always);
    case FIELD_U64:
        return write_uint(*(const uint64_t *)at, always);
    default:
        return write_opt(type, at);
    }
}

static struct json_object *write_record(const struct record *record, const void *at, bool always)
{
    struct json_object *object = record_write(record, at);

    if (always || json_object_object_length(object) > 0)
        return object;
    json_object_put(object);
    return NULL;
}

static struct json_object *write_field(const struct field *field, const void *at)
{
    const struct any_list *list = at;
    bool always = field->presence != FIELD_OPTIONAL;

    switch (field->type) {
    case FIELD_STRV:
        return ((const struct strv *)at)->count || always ? write_strv(at) : NULL;
    case FIELD_MAP:
        return ((const struct record_map *)at)->count || always ? write_map(at) : NULL;
    case FIELD_U32S:
    case FIELD_U64S:
        return list->count || always ? write_numbers(list, field->type == FIELD_U64S) : NULL;
    case FIELD_RECORD:
        return write_record(field->record, at, always);
    case FIELD_POINTER:
        return *(void *const *)at ? record_write(field->record, *(void *const *)at) : NULL;
    case FIELD_LIST:
        return list->count || always ? write_list(field->record, list) : NULL;
    case FIELD_DICT:
        return list->count || always ? write_dict(field->record, list) : NULL;
    case FIELD_JSON:
        return json_object_get(*(struct json_object *const *)at);
    default:
        return write_scalar(field->type, at, always);
    }
}

struct json_object *record_write(const struct record *record, const void *from)
{
    struct json_object *object = json_object_new_object();

    for (size_t i = 0; i < record->count; i++) {
        const struct field *field = &record->fields[i];
        if (field->type == FIELD_IGNORED || field->presence == FIELD_ALIAS)
            continue;
        struct json_object *value = write_field(field, (const char *)from + field->offset);
        if (value) /* the names of a table differ, and stay where they are */
            json_object_object_add_ex(object, field->name, value,
                    JSON_C_OBJECT_ADD_KEY_IS_NEW | JSON_C_OBJECT_KEY_IS_CONSTANT);
    }
    return object;
}

void record_print(const struct record *record, const void *from, struct buf *into)
{
    char between = '{';

    for (size_t i = 0; i < record->count; i++) {
        const struct field *field = &record->fields[i];
        const void *at = (const char *)from + field->offset;
        if (field->type == FIELD_IGNORED || field->presence == FIELD_ALIAS)
            continue;
        const char *text = field->type == FIELD_STR ? *(const char *const *)at : NULL;
        _cleanup_json_ struct json_object *value = text ? NULL : write_field(field, at);
        if (!text && !value)
            continue;
        buf_add_char(into, between);
        json_quote(field->name, into);
        buf_add_char(into, ':');
        if (text)
            json_quote(text, into);
        else
            buf_add_str(into, json_text(value));
        between = ',';
    }
    buf_add_str(into, between == '{' ? "{}" : "}");
}
