#include "observe/template_functions.h"

#include <ctype.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/str.h"

#define TEXT_MAX ((size_t)4 << 20)

struct call {
    const char *name;
    struct json_object *const *args;
    size_t count;
    struct json_object *made;
    struct json_object **ret;
    struct error *err;
};

static int wrong(const struct call *call, const char *what)
{
    return error_set(call->err, EINVAL, "template: %s: %s", call->name, what);
}

/* ---- values ---------------------------------------------------------------------------------- */

static struct json_object *own(struct json_object *made, struct json_object *value)
{
    json_object_array_add(made, value);
    return value;
}

static int give(const struct call *call, struct json_object *value)
{
    *call->ret = own(call->made, value);
    return 0;
}

static int give_text(const struct call *call, const struct buf *text)
{
    if (text->overflow)
        return error_set(call->err, E2BIG, "template: %s: the text grows too long", call->name);
    return give(call, json_object_new_string_len(buf_text(text), (int)text->length));
}

bool template_truth(struct json_object *value)
{
    switch (json_object_get_type(value)) {
    case json_type_null:
        return false;
    case json_type_array:
        return json_object_array_length(value) > 0;
    case json_type_object:
        return json_object_object_length(value) > 0;
    case json_type_string:
        return json_object_get_string_len(value) > 0;
    case json_type_double:
        return fpclassify(json_object_get_double(value)) != FP_ZERO;
    case json_type_boolean:
    case json_type_int:
        break;
    }
    return json_object_get_int64(value) != 0;
}

/* As Go prints: [a b] and map[k:v]. */
static void print_value(struct json_object *value, unsigned depth, struct buf *out)
{
    if (!value) {
        buf_add_str(out, "<no value>");
    } else if (json_object_is_type(value, json_type_array) && depth < TEMPLATE_DEPTH_MAX) {
        buf_add_char(out, '[');
        for (size_t i = 0; i < json_object_array_length(value); i++) {
            if (i)
                buf_add_char(out, ' ');
            print_value(json_object_array_get_idx(value, i), depth + 1, out);
        }
        buf_add_char(out, ']');
    } else if (json_object_is_type(value, json_type_object) && depth < TEMPLATE_DEPTH_MAX) {
        bool first = true;
        buf_add_str(out, "map[");
        json_object_object_foreach(value, key, item)
        {
            buf_printf(out, "%s%s:", first ? "" : " ", key);
            print_value(item, depth + 1, out);
            first = false;
        }
        buf_add_char(out, ']');
    } else {
        buf_add_str(out, json_object_get_string(value));
    }
}

const char *template_text(struct json_object *value, struct json_object *made)
{
    _cleanup_buf_ struct buf text = {.max = TEXT_MAX};

    if (json_object_is_type(value, json_type_string))
        return json_object_get_string(value);
    print_value(value, 0, &text);
    return json_object_get_string(own(made, json_object_new_string(buf_text(&text))));
}

static const char *text_of(const struct call *call, size_t i)
{
    return template_text(call->args[i], call->made);
}

/* ---- logic ----------------------------------------------------------------------------------- */

static int call_and(const struct call *call)
{
    bool stop_at = str_equal(call->name, "or");

    for (size_t i = 0; i < call->count; i++) {
        *call->ret = call->args[i];
        if (template_truth(call->args[i]) == stop_at)
            return 0;
    }
    return 0;
}

static int call_not(const struct call *call)
{
    return give(call, json_object_new_boolean(!template_truth(call->args[0])));
}

static bool is_number(struct json_object *value)
{
    return json_object_is_type(value, json_type_int) ||
           json_object_is_type(value, json_type_double);
}

static int order(const struct call *call, size_t i)
{
    if (is_number(call->args[0]) && is_number(call->args[i])) {
        double a = json_object_get_double(call->args[0]);
        double b = json_object_get_double(call->args[i]);
        return a < b ? -1 : a > b;
    }
    return strcmp(text_of(call, 0), text_of(call, i));
}

/* eq takes several to compare with; the others one. */
static int call_compare(const struct call *call)
{
    bool result = false;
    int found = order(call, 1);

    if (str_equal(call->name, "eq"))
        for (size_t i = 1; i < call->count && !result; i++)
            result = order(call, i) == 0;
    else if (str_equal(call->name, "ne"))
        result = found != 0;
    else if (call->name[0] == 'l')
        result = found < 0 || (call->name[1] == 'e' && found == 0);
    else
        result = found > 0 || (call->name[1] == 'e' && found == 0);
    return give(call, json_object_new_boolean(result));
}

/* ---- lists and maps -------------------------------------------------------------------------- */

static int call_len(const struct call *call)
{
    struct json_object *value = call->args[0];
    size_t length = 0;

    if (json_object_is_type(value, json_type_array))
        length = json_object_array_length(value);
    else if (json_object_is_type(value, json_type_object))
        length = (size_t)json_object_object_length(value);
    else if (json_object_is_type(value, json_type_string))
        length = (size_t)json_object_get_string_len(value);
    else if (value)
        return wrong(call, "this has no length");
    return give(call, json_object_new_int64((int64_t)length));
}

static int call_index(const struct call *call)
{
    struct json_object *value = call->args[0];

    for (size_t i = 1; i < call->count; i++) {
        struct json_object *key = call->args[i];
        if (json_object_is_type(value, json_type_array)) {
            int64_t at = json_object_get_int64(key);
            if (!is_number(key) || at < 0 || (size_t)at >= json_object_array_length(value))
                return wrong(call, "there is no item of that number");
            value = json_object_array_get_idx(value, (size_t)at);
        } else {
            value = json_get(value, template_text(key, call->made));
        }
    }
    *call->ret = value;
    return 0;
}

/* What is no label of it prints as nothing. */
static int call_label(const struct call *call)
{
    struct json_object *value = NULL;

    if (json_object_is_type(call->args[0], json_type_object))
        value = json_get(call->args[0], text_of(call, 1));
    if (!value)
        return give(call, json_object_new_string(""));
    *call->ret = value;
    return 0;
}

/* slice TEXT|LIST [FROM [TO]] */
static int call_slice(const struct call *call)
{
    struct json_object *value = call->args[0];
    bool list = json_object_is_type(value, json_type_array);
    const char *text = list ? "" : text_of(call, 0);
    int64_t length = (int64_t)(list ? json_object_array_length(value) : strlen(text));
    int64_t from = call->count > 1 ? json_object_get_int64(call->args[1]) : 0;
    int64_t to = call->count > 2 ? json_object_get_int64(call->args[2]) : length;

    if (from < 0 || from > to || to > length)
        return wrong(call, "it has no such part");
    if (!list)
        return give(call, json_object_new_string_len(text + from, (int)(to - from)));
    struct json_object *part = json_object_new_array();
    for (int64_t i = from; i < to; i++)
        json_object_array_add(part, json_object_get(json_object_array_get_idx(value, (size_t)i)));
    return give(call, part);
}

static int call_join(const struct call *call)
{
    _cleanup_buf_ struct buf text = {.max = TEXT_MAX};
    struct json_object *list = call->args[0];

    if (!list)
        return give_text(call, &text);
    if (!json_object_is_type(list, json_type_array))
        return wrong(call, "a list is wanted");
    for (size_t i = 0; i < json_object_array_length(list); i++) {
        if (i)
            buf_add_str(&text, text_of(call, 1));
        buf_add_str(&text, template_text(json_object_array_get_idx(list, i), call->made));
    }
    return give_text(call, &text);
}

static int call_split(const struct call *call)
{
    struct json_object *list = json_object_new_array();
    const char *at = text_of(call, 0);
    const char *separator = text_of(call, 1);
    const char *next;

    while (*separator && (next = strstr(at, separator))) {
        json_object_array_add(list, json_object_new_string_len(at, (int)(next - at)));
        at = next + strlen(separator);
    }
    json_object_array_add(list, json_object_new_string(at));
    return give(call, list);
}

/* ---- text ------------------------------------------------------------------------------------ */

static int call_case(const struct call *call)
{
    _cleanup_buf_ struct buf text = {.max = TEXT_MAX};
    bool start = true;

    for (const char *at = text_of(call, 0); *at; at++) {
        int c = (unsigned char)*at;
        if (call->name[0] == 'l')
            c = tolower(c);
        else if (call->name[0] == 'u' || start)
            c = toupper(c);
        buf_add_char(&text, (char)c);
        start = isspace((unsigned char)*at);
    }
    return give_text(call, &text);
}

static int call_json(const struct call *call)
{
    if (!call->args[0])
        return give(call, json_object_new_string("null"));
    return give(call, json_object_new_string(json_text(call->args[0])));
}

static int call_print(const struct call *call)
{
    _cleanup_buf_ struct buf text = {.max = TEXT_MAX};
    bool line = str_equal(call->name, "println");

    for (size_t i = 0; i < call->count; i++) {
        if (i && line)
            buf_add_char(&text, ' ');
        buf_add_str(&text, text_of(call, i));
    }
    if (line)
        buf_add_char(&text, '\n');
    return give_text(call, &text);
}

/* A number of a directive, at most three digits. */
static int take_number(const char **at)
{
    int number = 0;

    for (int i = 0; i < 3 && isdigit((unsigned char)**at); i++)
        number = number * 10 + *(*at)++ - '0';
    return number;
}

/* %[-][WIDTH][.MOST]LETTER: q is quoted, everything else as it is printed. */
static const char *print_directive(
        const struct call *call, const char *at, struct json_object *value, struct buf *text)
{
    bool left = *at == '-';
    const char *word = template_text(value, call->made);

    at += left;
    int width = take_number(&at);
    int most = INT_MAX;
    if (*at == '.') {
        at++;
        most = take_number(&at);
    }
    if (*at == 'q')
        word = json_text(own(call->made, json_object_new_string(word)));
    if (left)
        buf_printf(text, "%-*.*s", width, most, word);
    else
        buf_printf(text, "%*.*s", width, most, word);
    return *at ? at + 1 : at;
}

static int call_printf(const struct call *call)
{
    _cleanup_buf_ struct buf text = {.max = TEXT_MAX};
    size_t next = 1;

    for (const char *at = text_of(call, 0); *at;) {
        if (*at != '%' || at[1] == '%') {
            buf_add_char(&text, *at);
            at += *at == '%' ? 2 : 1;
            continue;
        }
        if (next == call->count)
            return wrong(call, "there are fewer values than the format wants");
        at = print_directive(call, at + 1, call->args[next++], &text);
    }
    return give_text(call, &text);
}

static int call_truncate(const struct call *call)
{
    const char *text = text_of(call, 0);
    int64_t most = json_object_get_int64(call->args[1]);
    size_t length = strlen(text);

    if (most >= 0 && (size_t)most < length)
        length = (size_t)most;
    return give(call, json_object_new_string_len(text, (int)length));
}

static int call_pad(const struct call *call)
{
    _cleanup_buf_ struct buf text = {.max = TEXT_MAX};
    int64_t before = json_object_get_int64(call->args[1]);
    int64_t behind = json_object_get_int64(call->args[2]);

    if (before < 0 || behind < 0 || before > 1024 || behind > 1024)
        return wrong(call, "from 0 to 1024 blanks");
    buf_printf(&text, "%*s%s%*s", (int)before, "", text_of(call, 0), (int)behind, "");
    return give_text(call, &text);
}

static const struct {
    const char *name;
    int (*fn)(const struct call *call);
    size_t least, most;
} functions[] = {
        {"and", call_and, 1, TEMPLATE_ARGS_MAX},
        {"or", call_and, 1, TEMPLATE_ARGS_MAX},
        {"not", call_not, 1, 1},
        {"eq", call_compare, 2, TEMPLATE_ARGS_MAX},
        {"ne", call_compare, 2, 2},
        {"lt", call_compare, 2, 2},
        {"le", call_compare, 2, 2},
        {"gt", call_compare, 2, 2},
        {"ge", call_compare, 2, 2},
        {"len", call_len, 1, 1},
        {"index", call_index, 1, TEMPLATE_ARGS_MAX},
        {TEMPLATE_LABEL, call_label, 2, 2},
        {"slice", call_slice, 1, 3},
        {"join", call_join, 2, 2},
        {"split", call_split, 2, 2},
        {"lower", call_case, 1, 1},
        {"upper", call_case, 1, 1},
        {"title", call_case, 1, 1},
        {"json", call_json, 1, 1},
        {"print", call_print, 0, TEMPLATE_ARGS_MAX},
        {"println", call_print, 0, TEMPLATE_ARGS_MAX},
        {"printf", call_printf, 1, TEMPLATE_ARGS_MAX},
        {"truncate", call_truncate, 2, 2},
        {"pad", call_pad, 3, 3},
};

int template_call(const char *name, struct json_object *const *args, size_t count,
        struct json_object *made, struct json_object **ret, struct error *err)
{
    struct json_object *value = NULL;
    const struct call call = {name, args, count, made, &value, err};

    for (size_t i = 0; i < ARRAY_SIZE(functions); i++) {
        if (!str_equal(functions[i].name, name))
            continue;
        if (count < functions[i].least || count > functions[i].most)
            return wrong(&call, "another number of arguments is wanted");
        int r = functions[i].fn(&call);
        if (r == 0)
            *ret = value;
        return r;
    }
    return error_set(err, EINVAL, "template: there is no function \"%.40s\"", name);
}
