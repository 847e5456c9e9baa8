#include "observe/template.h"

#include <ctype.h>
#include <string.h>

#include "base/str.h"
#include "observe/template_functions.h"

#define WORK_MAX 1000000 /* nodes that one rendering may go through */
#define VARIABLES_MAX 64
#define OUT_MAX ((size_t)16 << 20)

struct template
{
    const char *text;
    struct template_node *first;
};

struct variable {
    const char *name;
    struct json_object *value;
};

struct rendering {
    const char *text;
    struct json_object *data;
    struct json_object *made; /* an array that owns what was made on the way */
    struct variable variables[VARIABLES_MAX];
    size_t count;
    size_t work;
    struct buf *out;
    struct error *err;
};

int template_parse(struct arena *arena, const char *text, struct template **ret, struct error *err)
{
    struct template *template = arena_new(arena, struct template);

    template->text = arena_strdup(arena, text);
    int r = template_tree(arena, template->text, &template->first, err);
    if (r == 0)
        *ret = template;
    return r;
}

/* ---- values ---------------------------------------------------------------------------------- */

static int evaluate(struct rendering *rendering, const struct template_value *value,
        struct json_object *dot, struct json_object **ret);

static int no_member(struct rendering *rendering, const char *name)
{
    const char *names[64];
    size_t count = 0;

    json_object_object_foreach(rendering->data, key, item)
    {
        (void)item;
        if (count < 64)
            names[count++] = key;
    }
    const char *closest = str_closest(name, names, count);
    return error_set(rendering->err, EINVAL,
            "template \"%.200s\": there is no .%.64s%s%s%s; {{json .}} shows all there is",
            rendering->text, name, closest ? "; did you mean ." : "", closest ? closest : "",
            closest ? "?" : "");
}

/* "NetworkInterface" is "network_interface" too, and "Name" "name": Docker and Podman call members
 * in templates otherwise than in JSON. */
static bool is_same_name(const char *key, const char *name)
{
    for (;; key++, name++) {
        while (*key == '_')
            key++;
        if (tolower((unsigned char)*key) != tolower((unsigned char)*name))
            return false;
        if (!*key)
            return true;
    }
}

/* The member of this very name, or else of the same one written otherwise. */
static bool find_member(struct json_object *object, const char *name, struct json_object **ret)
{
    if (!json_object_is_type(object, json_type_object))
        return false;
    if (json_object_object_get_ex(object, name, ret))
        return true;
    json_object_object_foreach(object, key, item)
    {
        if (isupper((unsigned char)name[0]) && is_same_name(key, name)) {
            *ret = item;
            return true;
        }
    }
    return false;
}

/* Members deeper down come and go; at the top a name that is not there is a slip. */
static int follow_path(struct rendering *rendering, const struct template_value *value,
        struct json_object *at, struct json_object **ret)
{
    for (size_t i = 0; i < value->path_count; i++) {
        struct json_object *next = NULL;
        bool there = find_member(at, value->path[i], &next);
        if (!there && at == rendering->data)
            return no_member(rendering, value->path[i]);
        at = next;
    }
    *ret = at;
    return 0;
}

static int evaluate_variable(
        struct rendering *rendering, const struct template_value *value, struct json_object **ret)
{
    struct json_object *at = rendering->data;

    if (*value->text) {
        size_t i = rendering->count;
        while (i > 0 && !str_equal(rendering->variables[i - 1].name, value->text))
            i--;
        if (i == 0)
            return error_set(rendering->err, EINVAL, "template \"%.200s\": there is no $%.64s",
                    rendering->text, value->text);
        at = rendering->variables[i - 1].value;
    }
    return follow_path(rendering, value, at, ret);
}

static int evaluate_call(struct rendering *rendering, const struct template_value *value,
        struct json_object *dot, struct json_object **ret)
{
    struct json_object *args[TEMPLATE_ARGS_MAX] = {NULL};

    for (size_t i = 0; i < value->args_count; i++) {
        int r = evaluate(rendering, value->args[i], dot, &args[i]);
        if (r < 0)
            return r;
    }
    return template_call(
            value->text, args, value->args_count, rendering->made, ret, rendering->err);
}

static int evaluate(struct rendering *rendering, const struct template_value *value,
        struct json_object *dot, struct json_object **ret)
{
    struct json_object *made = NULL;
    int r = 0;

    if (++rendering->work > WORK_MAX)
        return error_set(
                rendering->err, E2BIG, "template \"%.200s\": too much work", rendering->text);
    switch (value->term) {
    case TERM_STRING:
        made = json_object_new_string(value->text);
        break;
    case TERM_NUMBER:
        made = json_object_new_int64(value->number);
        break;
    case TERM_BOOL:
        made = json_object_new_boolean(value->number != 0);
        break;
    case TERM_NIL:
        *ret = NULL;
        return 0;
    case TERM_DOT:
        return follow_path(rendering, value, dot, ret);
    case TERM_VARIABLE:
        return evaluate_variable(rendering, value, ret);
    case TERM_CALL:
        return evaluate_call(rendering, value, dot, ret);
    case TERM_FIELD:
        r = evaluate(rendering, value->args[0], dot, &made);
        return r < 0 ? r : follow_path(rendering, value, made, ret);
    }
    json_object_array_add(rendering->made, made);
    *ret = made;
    return 0;
}

/* ---- nodes ----------------------------------------------------------------------------------- */

static int render_list(
        struct rendering *rendering, const struct template_node *node, struct json_object *dot);

static int set_variable(struct rendering *rendering, const char *name, struct json_object *value)
{
    if (!name)
        return 0;
    if (rendering->count == VARIABLES_MAX)
        return error_set(
                rendering->err, E2BIG, "template \"%.200s\": too many variables", rendering->text);
    rendering->variables[rendering->count++] = (struct variable){name, value};
    return 0;
}

static int render_item(struct rendering *rendering, const struct template_node *node,
        struct json_object *key, struct json_object *item)
{
    size_t before = rendering->count;

    json_object_array_add(rendering->made, key);
    int r = set_variable(rendering, node->text, key);
    if (r == 0)
        r = set_variable(rendering, node->second, item);
    if (r == 0)
        r = render_list(rendering, node->body, item);
    rendering->count = before;
    return r;
}

static int render_range(struct rendering *rendering, const struct template_node *node,
        struct json_object *list, struct json_object *dot)
{
    int r = 0;

    if (!template_truth(list))
        return render_list(rendering, node->other, dot);
    if (json_object_is_type(list, json_type_array)) {
        for (size_t i = 0; i < json_object_array_length(list) && r == 0; i++)
            r = render_item(rendering, node, json_object_new_int64((int64_t)i),
                    json_object_array_get_idx(list, i));
        return r;
    }
    if (!json_object_is_type(list, json_type_object))
        return error_set(rendering->err, EINVAL, "template \"%.200s\": range wants a list or a map",
                rendering->text);
    json_object_object_foreach(list, key, item)
    {
        if (r == 0)
            r = render_item(rendering, node, json_object_new_string(key), item);
    }
    return r;
}

static int render_node(
        struct rendering *rendering, const struct template_node *node, struct json_object *dot)
{
    struct json_object *value = NULL;
    size_t before = rendering->count;

    if (node->kind == TEMPLATE_TEXT) {
        buf_add_str(rendering->out, node->text);
        return 0;
    }
    int r = evaluate(rendering, node->value, dot, &value);
    if (r < 0)
        return r;
    switch (node->kind) {
    case TEMPLATE_PRINT:
        buf_add_str(rendering->out, template_text(value, rendering->made));
        return 0;
    case TEMPLATE_ASSIGN:
        return set_variable(rendering, node->text, value);
    case TEMPLATE_RANGE:
        return render_range(rendering, node, value, dot);
    case TEMPLATE_TEXT:
    case TEMPLATE_IF:
    case TEMPLATE_WITH:
        break;
    }
    bool truth = template_truth(value);
    struct json_object *inner = node->kind == TEMPLATE_WITH && truth ? value : dot;
    r = render_list(rendering, truth ? node->body : node->other, inner);
    rendering->count = before;
    return r;
}

static int render_list(
        struct rendering *rendering, const struct template_node *node, struct json_object *dot)
{
    int r = 0;

    for (; node && r == 0; node = node->next) {
        if (++rendering->work > WORK_MAX)
            return error_set(
                    rendering->err, E2BIG, "template \"%.200s\": too much work", rendering->text);
        r = render_node(rendering, node, dot);
    }
    return r;
}

int template_render(const struct template *template, struct json_object *data, struct buf *out,
        struct error *err)
{
    _cleanup_json_ struct json_object *made = json_object_new_array();
    struct rendering rendering = {
            .text = template->text, .data = data, .made = made, .out = out, .err = err};

    if (!out->max)
        out->max = OUT_MAX;
    int r = render_list(&rendering, template->first, data);
    if (r == 0 && out->overflow)
        r = error_set(err, E2BIG, "template \"%.200s\": too much output", template->text);
    return r;
}

/* ---- headings -------------------------------------------------------------------------------- */

static const char *heading_of(const char *name, const char *const *names, struct buf *made)
{
    for (; names && *names; names += 2)
        if (str_equal(names[0], name))
            return names[1];
    for (size_t i = 0; name[i]; i++) {
        bool word = i > 0 && isupper((unsigned char)name[i]) && islower((unsigned char)name[i - 1]);
        if (word)
            buf_add_char(made, ' ');
        buf_add_char(made, (char)toupper((unsigned char)name[i]));
    }
    return buf_text(made);
}

/* As Docker heads a column of labels: "com.example.my-key" as "my key". */
static bool label_heading(const struct template_value *value, struct buf *out)
{
    bool label = value->term == TERM_CALL && str_equal(value->text, TEMPLATE_LABEL) &&
                 value->args_count == 2 && value->args[1]->term == TERM_STRING;
    const char *key = label ? value->args[1]->text : NULL;
    const char *dot = label ? strrchr(key, '.') : NULL;

    for (const char *at = dot ? dot + 1 : key; label && *at; at++)
        buf_add_char(out, strchr("-_", *at) ? ' ' : *at);
    return label;
}

/* The innermost value that a node prints: its last path's last part. */
static const char *printed_member(const struct template_value *value)
{
    while (value && !value->path_count && value->args_count)
        value = value->args[value->args_count - 1];
    return value && value->path_count ? value->path[value->path_count - 1] : "";
}

int template_heading(const struct template *template, const char *const *names, struct buf *out,
        struct error *err)
{
    for (const struct template_node *node = template->first; node; node = node->next) {
        _cleanup_buf_ struct buf made = {0};
        if (node->kind == TEMPLATE_TEXT)
            buf_add_str(out, node->text);
        else if (node->kind != TEMPLATE_ASSIGN && !label_heading(node->value, out))
            buf_add_str(out, heading_of(printed_member(node->value), names, &made));
    }
    return out->overflow ? error_set(err, E2BIG, "the heading grows too long") : 0;
}
