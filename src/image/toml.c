#include "image/toml.h"

#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/str.h"

#define SIZE_LIMIT ((size_t)1 << 20)
#define DEPTH_LIMIT 32
#define KEY_PARTS 16

struct parser {
    const char *at;
    const char *end;
    const char *name;
    int line;
    int depth;
    struct json_object *root;
    struct json_object *table; /* where keys of the current section go */
    struct error *err;
};

static int fail(struct parser *p, const char *why)
{
    return error_set(p->err, EINVAL, "%s:%d: not valid TOML: %s", p->name, p->line, why);
}

static char peek(const struct parser *p)
{
    return p->at < p->end ? *p->at : '\0';
}

static bool accept(struct parser *p, const char *text)
{
    size_t length = strlen(text);

    if ((size_t)(p->end - p->at) < length || memcmp(p->at, text, length) != 0)
        return false;
    p->at += length;
    return true;
}

static void skip_blanks(struct parser *p)
{
    while (peek(p) == ' ' || peek(p) == '\t')
        p->at++;
}

static void skip_comment(struct parser *p)
{
    if (peek(p) == '#')
        while (p->at < p->end && *p->at != '\n')
            p->at++;
}

/* Blanks, comments and line ends. */
static void skip_lines(struct parser *p)
{
    for (;;) {
        skip_blanks(p);
        skip_comment(p);
        if (peek(p) == '\r' && p->at + 1 < p->end && p->at[1] == '\n')
            p->at++;
        if (peek(p) != '\n' || p->at == p->end)
            return;
        p->line++;
        p->at++;
    }
}

static int expect_line_end(struct parser *p)
{
    skip_blanks(p);
    skip_comment(p);
    if (peek(p) == '\r')
        p->at++;
    if (p->at < p->end && *p->at != '\n')
        return fail(p, "there is text behind the value");
    return 0;
}

static void add_utf8(struct buf *text, uint32_t c)
{
    if (c < 0x80) {
        buf_add_char(text, (char)c);
    } else if (c < 0x800) {
        buf_add_char(text, (char)(0xc0 | c >> 6));
        buf_add_char(text, (char)(0x80 | (c & 63)));
    } else if (c < 0x10000) {
        buf_add_char(text, (char)(0xe0 | c >> 12));
        buf_add_char(text, (char)(0x80 | (c >> 6 & 63)));
        buf_add_char(text, (char)(0x80 | (c & 63)));
    } else {
        buf_add_char(text, (char)(0xf0 | c >> 18));
        buf_add_char(text, (char)(0x80 | (c >> 12 & 63)));
        buf_add_char(text, (char)(0x80 | (c >> 6 & 63)));
        buf_add_char(text, (char)(0x80 | (c & 63)));
    }
}

static int read_unicode(struct parser *p, size_t digits, struct buf *text)
{
    char hex[9] = "";
    uint64_t value;

    if ((size_t)(p->end - p->at) < digits)
        return fail(p, "the text ends inside an escape");
    memcpy(hex, p->at, digits);
    if (str_to_u64(hex, 16, &value) < 0 || value == 0 || value > 0x10ffff ||
            (value >= 0xd800 && value < 0xe000))
        return fail(p, "an escape is no character");
    p->at += digits;
    add_utf8(text, (uint32_t)value);
    return 0;
}

static int read_escape(struct parser *p, bool multiline, struct buf *text)
{
    static const char from[] = "btnfr\"\\";
    static const char to[] = "\b\t\n\f\r\"\\";
    char c = peek(p);
    const char *found = c ? strchr(from, c) : NULL;

    if (found) {
        p->at++;
        buf_add_char(text, to[found - from]);
        return 0;
    }
    if (c == 'u' || c == 'U') {
        p->at++;
        return read_unicode(p, c == 'u' ? 4 : 8, text);
    }
    if (multiline && c && strchr(" \t\r\n", c)) {
        while (p->at < p->end && strchr(" \t\r\n", *p->at)) {
            p->line += *p->at == '\n';
            p->at++;
        }
        return 0;
    }
    return fail(p, "an unknown escape");
}

/* A string up to the quote, which is one or three characters. */
static int read_string(struct parser *p, struct buf *text)
{
    char quote = *p->at;
    char three[4] = {quote, quote, quote, '\0'};
    char one[2] = {quote, '\0'};
    bool multiline = accept(p, three);

    if (multiline) {
        accept(p, "\r");
        if (accept(p, "\n"))
            p->line++;
    } else {
        p->at++;
    }
    while (!accept(p, multiline ? three : one)) {
        char c = peek(p);
        if (p->at == p->end || (c == '\n' && !multiline))
            return fail(p, "a string is not closed");
        if (c == '\0')
            return fail(p, "a NUL character");
        p->at++;
        p->line += c == '\n';
        if (c != '\\' || quote == '\'') {
            buf_add_char(text, c);
        } else {
            int r = read_escape(p, multiline, text);
            if (r < 0)
                return r;
        }
    }
    return 0;
}

static int read_key_part(struct parser *p, struct buf *text)
{
    static const char bare[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";
    const char *start;

    skip_blanks(p);
    if (peek(p) == '"' || peek(p) == '\'')
        return read_string(p, text);
    start = p->at;
    while (peek(p) && strchr(bare, peek(p)))
        p->at++;
    if (p->at == start)
        return fail(p, "a key is expected");
    buf_add(text, start, (size_t)(p->at - start));
    return 0;
}

struct key {
    struct buf parts[KEY_PARTS];
    size_t count;
};

static void key_free(struct key *key)
{
    for (size_t i = 0; i < KEY_PARTS; i++)
        buf_free(&key->parts[i]);
}

static int read_key(struct parser *p, struct key *key)
{
    do {
        if (key->count == KEY_PARTS)
            return fail(p, "a key has too many parts");
        int r = read_key_part(p, &key->parts[key->count++]);
        if (r < 0)
            return r;
        skip_blanks(p);
    } while (accept(p, "."));
    return 0;
}

/* The table that the parts before the last lead to; made where there is none. In an array of tables
 * the last one is meant. */
static struct json_object *descend(struct json_object *table, const char *part)
{
    struct json_object *next = json_get(table, part);

    if (!next) {
        next = json_object_new_object();
        json_object_object_add(table, part, next);
    }
    size_t length = json_object_is_type(next, json_type_array) ? json_object_array_length(next) : 0;
    if (length)
        next = json_object_array_get_idx(next, length - 1);
    return json_object_is_type(next, json_type_object) ? next : NULL;
}

static struct json_object *descend_to_last(
        struct parser *p, struct json_object *table, struct key *key)
{
    for (size_t i = 0; table && i + 1 < key->count; i++)
        table = descend(table, buf_text(&key->parts[i]));
    if (!table)
        fail(p, "a key leads through something that is not a table");
    return table;
}

static int read_value(struct parser *p, struct json_object **ret);

static int read_pair(struct parser *p, struct json_object *table)
{
    _cleanup_(key_free) struct key key = {0};
    struct json_object *value;

    int r = read_key(p, &key);
    if (r < 0)
        return r;
    if (!accept(p, "="))
        return fail(p, "'=' is expected behind a key");
    skip_blanks(p);
    r = read_value(p, &value);
    if (r < 0)
        return r;
    struct json_object *into = descend_to_last(p, table, &key);
    const char *last = buf_text(&key.parts[key.count - 1]);
    if (into && !json_get(into, last)) {
        json_object_object_add(into, last, value);
        return 0;
    }
    json_object_put(value);
    return into ? fail(p, "a key is given twice") : -EINVAL;
}

static int read_array(struct parser *p, struct json_object **ret)
{
    _cleanup_json_ struct json_object *array = json_object_new_array();

    p->at++;
    for (;;) {
        struct json_object *value;
        skip_lines(p);
        if (accept(p, "]"))
            break;
        int r = read_value(p, &value);
        if (r < 0)
            return r;
        json_object_array_add(array, value);
        skip_lines(p);
        if (accept(p, ","))
            continue;
        if (peek(p) != ']')
            return fail(p, "',' or ']' is expected in an array");
    }
    *ret = take_ptr(array);
    return 0;
}

static int read_inline_table(struct parser *p, struct json_object **ret)
{
    _cleanup_json_ struct json_object *table = json_object_new_object();

    p->at++;
    skip_blanks(p);
    while (!accept(p, "}")) {
        int r = read_pair(p, table);
        if (r < 0)
            return r;
        skip_blanks(p);
        if (accept(p, ","))
            skip_blanks(p);
        else if (peek(p) != '}')
            return fail(p, "',' or '}' is expected in an inline table");
    }
    *ret = take_ptr(table);
    return 0;
}

static int read_number(struct parser *p, struct json_object **ret)
{
    char digits[32];
    size_t length = 0;
    int64_t value;

    while (p->at < p->end && strchr("+-0123456789_", *p->at) && *p->at) {
        if (*p->at != '_' && !(*p->at == '+' && length == 0) && length < sizeof(digits) - 1)
            digits[length++] = *p->at;
        p->at++;
    }
    digits[length] = '\0';
    if (length == 0 || str_to_i64(digits, &value) < 0)
        return fail(p, "a value is expected: a string, an integer, true, false, [ or {");
    *ret = json_object_new_int64(value);
    return 0;
}

static int read_scalar(struct parser *p, struct json_object **ret)
{
    if (accept(p, "true") || accept(p, "false")) {
        *ret = json_object_new_boolean(p->at[-2] == 'u');
        return 0;
    }
    if (peek(p) != '"' && peek(p) != '\'')
        return read_number(p, ret);
    _cleanup_buf_ struct buf text = {.max = SIZE_LIMIT};
    int r = read_string(p, &text);
    if (r == 0)
        *ret = json_object_new_string(buf_text(&text));
    return r;
}

static int read_value(struct parser *p, struct json_object **ret)
{
    if (p->depth == DEPTH_LIMIT)
        return fail(p, "values are nested too deeply");
    p->depth++;
    int r = peek(p) == '['   ? read_array(p, ret)
            : peek(p) == '{' ? read_inline_table(p, ret)
                             : read_scalar(p, ret);
    p->depth--;
    return r;
}

static int start_array_item(struct parser *p, struct json_object *parent, const char *name)
{
    struct json_object *array = json_get(parent, name);

    if (!array) {
        array = json_object_new_array();
        json_object_object_add(parent, name, array);
    }
    if (!json_object_is_type(array, json_type_array))
        return fail(p, "an array of tables has the name of something else");
    p->table = json_object_new_object();
    json_object_array_add(array, p->table);
    return 0;
}

/* "[a.b]" or "[[a.b]]" */
static int read_header(struct parser *p)
{
    _cleanup_(key_free) struct key key = {0};
    bool array = accept(p, "[[");

    if (!array)
        p->at++;
    int r = read_key(p, &key);
    if (r < 0)
        return r;
    if (!accept(p, array ? "]]" : "]"))
        return fail(p, "a table's header is not closed");
    struct json_object *parent = descend_to_last(p, p->root, &key);
    if (!parent)
        return -EINVAL;
    const char *last = buf_text(&key.parts[key.count - 1]);
    if (array)
        return start_array_item(p, parent, last);
    p->table = descend(parent, last);
    return p->table ? 0 : fail(p, "a table has the name of something else");
}

int toml_parse(const char *text, size_t length, const char *name, struct json_object **ret,
        struct error *err)
{
    _cleanup_json_ struct json_object *root = json_object_new_object();
    struct parser p = {.at = text,
            .end = text + length,
            .name = name,
            .line = 1,
            .root = root,
            .table = root,
            .err = err};

    if (length > SIZE_LIMIT)
        return error_set(err, EFBIG, "%s: larger than %zu bytes", name, SIZE_LIMIT);
    for (skip_lines(&p); p.at < p.end; skip_lines(&p)) {
        int r = peek(&p) == '[' ? read_header(&p) : read_pair(&p, p.table);
        if (r == 0)
            r = expect_line_end(&p);
        if (r < 0)
            return r;
    }
    *ret = take_ptr(root);
    return 0;
}
