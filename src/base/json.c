#include "base/json.h"

#include <string.h>

#include "base/cleanup.h"
#include "base/io.h"

static int syntax_error(
        const char *text, size_t at, const char *name, const char *why, struct error *err)
{
    size_t line = 1;
    size_t column = 1;

    for (size_t i = 0; i < at; i++) {
        column++;
        if (text[i] == '\n') {
            line++;
            column = 1;
        }
    }
    return error_set(err, EINVAL, "%s:%zu:%zu: not valid JSON: %s", name, line, column, why);
}

static bool only_blanks(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (!memchr(" \t\r\n", text[i], 4))
            return false;
    return true;
}

/* Behind the quote that ends a string whose first character this is; `end` if none does. */
static const char *skip_string(const char *first, const char *end)
{
    const char *at = first, *quote;

    while ((quote = memchr(at, '"', (size_t)(end - at)))) {
        const char *escape = quote;
        while (escape > first && escape[-1] == '\\')
            escape--;
        if ((quote - escape) % 2 == 0)
            return quote + 1;
        at = quote + 1;
    }
    return end;
}

/* Where json-c's own NaN or Infinity begins, which JSON does not have; length if there is none.
 * Strings, which are most of a text, are gone through by memchr(3). */
static size_t find_not_finite(const char *text, size_t length)
{
    const char *end = text + length;

    for (const char *at = text; at < end; at++)
        if (*at == '"')
            at = skip_string(at + 1, end) - 1;
        else if (*at == 'N' || *at == 'I')
            return (size_t)(at - text);
    return length;
}

/* Of ASCII alone: valid UTF-8, which json-c looks at byte by byte. */
static bool is_ascii(const char *text, size_t length)
{
    uint64_t all = 0, word;
    size_t i = 0;

    for (; i + sizeof(word) <= length; i += sizeof(word)) {
        memcpy(&word, text + i, sizeof(word));
        all |= word;
    }
    for (; i < length; i++)
        all |= (unsigned char)text[i];
    return !(all & 0x8080808080808080);
}

static int check_tokener(struct json_tokener *tokener, const char *text, size_t length,
        const char *name, struct error *err)
{
    enum json_tokener_error code = json_tokener_get_error(tokener);
    size_t end = json_tokener_get_parse_end(tokener);

    if (code != json_tokener_success)
        return syntax_error(text, end, name, json_tokener_error_desc(code), err);
    if (!only_blanks(text + end, length - end))
        return syntax_error(text, end, name, "there is text behind the value", err);
    return 0;
}

int json_parse(const char *text, size_t length, const char *name, struct json_object **ret,
        struct error *err)
{
    if (length > JSON_SIZE_MAX)
        return error_set(err, EFBIG, "%s: larger than %zu bytes", name, JSON_SIZE_MAX);
    if (only_blanks(text, length))
        return error_set(err, EINVAL, "%s:1:1: not valid JSON: the text is empty", name);
    size_t bad = find_not_finite(text, length);
    if (bad < length)
        return syntax_error(text, bad, name, "unexpected character", err);
    struct json_tokener *tokener = json_tokener_new_ex(JSON_DEPTH_MAX);
    if (!tokener)
        return error_set(err, ENOMEM, "%s: out of memory", name);
    json_tokener_set_flags(
            tokener, JSON_TOKENER_STRICT | JSON_TOKENER_ALLOW_TRAILING_CHARS |
                             (is_ascii(text, length) ? 0 : JSON_TOKENER_VALIDATE_UTF8));
    _cleanup_json_ struct json_object *value = json_tokener_parse_ex(tokener, text, (int)length);
    bool unfinished = json_tokener_get_error(tokener) == json_tokener_continue;
    if (unfinished) /* a bare number only ends when something follows it */
        value = json_tokener_parse_ex(tokener, "", 1);
    int r;
    if (!unfinished)
        r = check_tokener(tokener, text, length, name, err);
    else if (json_tokener_get_error(tokener) == json_tokener_success)
        r = 0;
    else
        r = syntax_error(text, length, name, "the text ends too early", err);
    json_tokener_free(tokener);
    if (r == 0)
        *ret = take_ptr(value);
    return r;
}

int json_parse_file_at(int dirfd, const char *path, struct json_object **ret, struct error *err)
{
    _cleanup_buf_ struct buf text = {.max = JSON_SIZE_MAX};
    int r = io_read_file_at(dirfd, path, &text);

    if (r < 0)
        return error_sys(err, -r, "read %s", path);
    return json_parse(buf_text(&text), text.length, path, ret, err);
}

struct json_object *json_get(struct json_object *object, const char *key)
{
    struct json_object *member = NULL;

    if (!json_object_is_type(object, json_type_object))
        return NULL;
    json_object_object_get_ex(object, key, &member);
    return member;
}

const char *json_get_str(struct json_object *object, const char *key)
{
    struct json_object *member = json_get(object, key);

    return json_object_is_type(member, json_type_string) ? json_object_get_string(member) : NULL;
}

int64_t json_get_int(struct json_object *object, const char *key, int64_t fallback)
{
    struct json_object *member = json_get(object, key);

    return json_object_is_type(member, json_type_int) ? json_object_get_int64(member) : fallback;
}

bool json_get_bool(struct json_object *object, const char *key, bool fallback)
{
    struct json_object *member = json_get(object, key);

    return json_object_is_type(member, json_type_boolean) ? json_object_get_boolean(member)
                                                          : fallback;
}

void json_add_str(struct json_object *object, const char *key, const char *value)
{
    if (value)
        json_object_object_add(object, key, json_object_new_string(value));
}

const char *json_text(struct json_object *object)
{
    return json_object_to_json_string_ext(
            object, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);
}

const char *json_text_pretty(struct json_object *object)
{
    return json_object_to_json_string_ext(object,
            JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_PRETTY_TAB | JSON_C_TO_STRING_NOSLASHESCAPE);
}

static void quote_char(char c, struct buf *into)
{
    static const char escaped[] = "\"\\\b\f\n\r\t", letters[] = "\"\\bfnrt";
    const char *found = strchr(escaped, c);

    if (found)
        buf_printf(into, "\\%c", letters[found - escaped]);
    else
        buf_printf(into, "\\u%04x", (unsigned)c);
}

void json_quote(const char *text, struct buf *into)
{
    buf_add_char(into, '"');
    for (;;) {
        size_t plain = 0;
        while ((unsigned char)text[plain] >= ' ' && text[plain] != '"' && text[plain] != '\\')
            plain++;
        buf_add(into, text, plain);
        text += plain;
        if (!*text)
            break;
        quote_char(*text++, into);
    }
    buf_add_char(into, '"');
}
