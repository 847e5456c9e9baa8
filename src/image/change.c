#include "image/change.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/str.h"

enum change_kind {
    CHANGE_COMMAND, /* ["a", "b"], or words for a shell */
    CHANGE_TEXT,
    CHANGE_PAIRS_LIST,   /* "A=1" in a list */
    CHANGE_PAIRS_OBJECT, /* {"a": "b"} */
    CHANGE_SET,          /* {"80/tcp": {}} */
    CHANGE_LIST,
};

static const struct {
    const char *word;
    const char *member;
    enum change_kind kind;
} changes[] = {
        {"CMD", "Cmd", CHANGE_COMMAND},
        {"ENTRYPOINT", "Entrypoint", CHANGE_COMMAND},
        {"ENV", "Env", CHANGE_PAIRS_LIST},
        {"EXPOSE", "ExposedPorts", CHANGE_SET},
        {"LABEL", "Labels", CHANGE_PAIRS_OBJECT},
        {"ONBUILD", "OnBuild", CHANGE_LIST},
        {"STOPSIGNAL", "StopSignal", CHANGE_TEXT},
        {"USER", "User", CHANGE_TEXT},
        {"VOLUME", "Volumes", CHANGE_SET},
        {"WORKDIR", "WorkingDir", CHANGE_TEXT},
};

struct json_object *change_member(struct json_object *object, const char *name, enum json_type type)
{
    struct json_object *member = json_get(object, name);

    if (!json_object_is_type(member, type)) {
        member = type == json_type_array ? json_object_new_array() : json_object_new_object();
        json_object_object_add(object, name, member);
    }
    return member;
}

static bool is_list_of_strings(struct json_object *json)
{
    if (!json_object_is_type(json, json_type_array))
        return false;
    for (size_t i = 0; i < json_object_array_length(json); i++)
        if (!json_object_is_type(json_object_array_get_idx(json, i), json_type_string))
            return false;
    return true;
}

static void set_command(struct json_object *config, const char *member, const char *rest)
{
    struct json_object *list = NULL;

    if (json_parse(rest, strlen(rest), "change", &list, NULL) < 0 || !is_list_of_strings(list)) {
        if (list)
            json_object_put(list);
        list = json_object_new_array();
        json_object_array_add(list, json_object_new_string("/bin/sh"));
        json_object_array_add(list, json_object_new_string("-c"));
        json_object_array_add(list, json_object_new_string(rest));
    }
    json_object_object_add(config, member, list);
}

/* The next word, with quotes and backslashes taken away; false at the end. */
static bool next_word(const char **at, struct buf *word)
{
    char quote = '\0';

    buf_clear(word);
    while (isspace((unsigned char)**at))
        (*at)++;
    if (!**at)
        return false;
    for (; **at && (quote || !isspace((unsigned char)**at)); (*at)++) {
        if (**at == '\\' && (*at)[1] && quote != '\'')
            buf_add_char(word, *++(*at));
        else if (quote ? **at == quote : **at == '"' || **at == '\'')
            quote = quote ? '\0' : **at;
        else
            buf_add_char(word, **at);
    }
    return true;
}

static void put_pair_in_list(struct json_object *list, const char *pair)
{
    size_t name = strcspn(pair, "=") + 1;

    for (size_t i = 0; i < json_object_array_length(list); i++) {
        const char *there = json_object_get_string(json_object_array_get_idx(list, i));
        if (there && strncmp(there, pair, name) == 0) {
            json_object_array_put_idx(list, i, json_object_new_string(pair));
            return;
        }
    }
    json_object_array_add(list, json_object_new_string(pair));
}

static int put_pair(struct json_object *config, const char *member, enum change_kind kind,
        char *pair, struct error *err)
{
    char *equals = strchr(pair, '=');

    if (!equals || equals == pair)
        return error_set(err, EINVAL, "\"%s\" is not NAME=VALUE", pair);
    if (kind == CHANGE_PAIRS_LIST) {
        put_pair_in_list(change_member(config, member, json_type_array), pair);
        return 0;
    }
    *equals = '\0';
    json_object_object_add(change_member(config, member, json_type_object), pair,
            json_object_new_string(equals + 1));
    return 0;
}

static int put_pairs(struct json_object *config, const char *member, enum change_kind kind,
        const char *rest, struct error *err)
{
    _cleanup_buf_ struct buf word = {0};
    size_t first = strcspn(rest, " \t=");
    int r = 0;

    if (rest[first] && rest[first] != '=') { /* the old form: ENV NAME the rest is the value */
        buf_printf(&word, "%.*s=%s", (int)first, rest, rest + first + strspn(rest + first, " \t"));
        return put_pair(config, member, kind, word.data, err);
    }
    while (r == 0 && next_word(&rest, &word))
        r = put_pair(config, member, kind, word.data ? word.data : (char[]){""}, err);
    return r;
}

static void put_set(struct json_object *config, const char *member, const char *rest)
{
    struct json_object *set = change_member(config, member, json_type_object);
    _cleanup_json_ struct json_object *list = NULL;
    _cleanup_buf_ struct buf word = {0};
    bool ports = str_equal(member, "ExposedPorts");

    if (json_parse(rest, strlen(rest), "change", &list, NULL) == 0 && is_list_of_strings(list)) {
        for (size_t i = 0; i < json_object_array_length(list); i++)
            json_object_object_add(set, json_object_get_string(json_object_array_get_idx(list, i)),
                    json_object_new_object());
        return;
    }
    while (next_word(&rest, &word)) {
        if (ports && !strchr(buf_text(&word), '/'))
            buf_add_str(&word, "/tcp");
        json_object_object_add(set, buf_text(&word), json_object_new_object());
    }
}

int change_apply(struct json_object *config, const char *line, struct error *err)
{
    size_t length = strcspn(line, " \t=");
    const char *rest = line + length;

    rest += strspn(rest, " \t=");
    for (size_t i = 0; i < ARRAY_SIZE(changes); i++) {
        if (strlen(changes[i].word) != length || strncasecmp(changes[i].word, line, length) != 0)
            continue;
        const char *member = changes[i].member;
        switch (changes[i].kind) {
        case CHANGE_COMMAND:
            set_command(config, member, rest);
            return 0;
        case CHANGE_TEXT:
            json_add_str(config, member, rest);
            return 0;
        case CHANGE_SET:
            put_set(config, member, rest);
            return 0;
        case CHANGE_LIST:
            json_object_array_add(
                    change_member(config, member, json_type_array), json_object_new_string(rest));
            return 0;
        default:
            return put_pairs(config, member, changes[i].kind, rest, err);
        }
    }
    return error_set(err, EINVAL,
            "\"%s\" is no change: it begins with CMD, ENTRYPOINT, ENV, EXPOSE, LABEL, ONBUILD, "
            "STOPSIGNAL, USER, VOLUME or WORKDIR",
            line);
}

void change_replace(struct json_object *config, struct json_object *from)
{
    if (!from)
        return;
    json_object_object_foreach(from, name, value)
    {
        if (value)
            json_object_object_add(config, name, json_object_get(value));
        else
            json_object_object_del(config, name);
    }
}
