#include "observe/template_tree.h"

#include <ctype.h>
#include <string.h>

#include "base/buf.h"
#include "base/str.h"

struct parser {
    struct arena *arena;
    const char *text; /* the whole, for messages */
    const char *at;
    size_t nodes;
    unsigned depth;
    bool trim; /* the text that comes now loses its leading blanks: behind -}} */
    struct error *err;
};

/* What ended a list of nodes. */
enum ending { END_OF_TEXT, END_END, END_ELSE, END_ELSE_IF };

static int parse_list(struct parser *parser, struct template_node **ret, enum ending *ending);
static int parse_pipeline(struct parser *parser, struct template_value **ret);

static int wrong(struct parser *parser, const char *what)
{
    return error_set(parser->err, EINVAL, "template \"%.200s\": %s, at \"%.20s\"", parser->text,
            what, parser->at);
}

static bool count_node(struct parser *parser)
{
    return ++parser->nodes <= TEMPLATE_NODES_MAX;
}

/* ---- inside an action ------------------------------------------------------------------------ */

static void skip_blanks(struct parser *parser)
{
    while (isspace((unsigned char)*parser->at))
        parser->at++;
}

static bool at_end_of_action(const struct parser *parser)
{
    return str_starts(parser->at, "}}") || str_starts(parser->at, "-}}");
}

static void close_action(struct parser *parser)
{
    parser->trim = *parser->at == '-';
    parser->at += parser->trim ? 3 : 2;
}

static bool is_word_char(char c)
{
    return isalnum((unsigned char)c) || c == '_' || (unsigned char)c >= 0x80;
}

static const char *take_word(struct parser *parser)
{
    const char *start = parser->at;

    while (is_word_char(*parser->at))
        parser->at++;
    return arena_strndup(parser->arena, start, (size_t)(parser->at - start));
}

/* Whether a keyword stands here; it is then passed over. */
static bool take_keyword(struct parser *parser, const char *word)
{
    const char *rest = str_after(parser->at, word);

    if (!rest || is_word_char(*rest))
        return false;
    parser->at = rest;
    skip_blanks(parser);
    return true;
}

static char unescaped(char c)
{
    return c == 'n' ? '\n' : c == 't' ? '\t' : c == 'r' ? '\r' : c;
}

static int parse_string(struct parser *parser, struct template_value *value)
{
    _cleanup_buf_ struct buf text = {.max = TEMPLATE_TEXT_MAX};
    char quote = *parser->at++;

    for (; *parser->at && *parser->at != quote; parser->at++) {
        if (*parser->at == '\\' && quote != '`' && parser->at[1])
            buf_add_char(&text, unescaped(*++parser->at));
        else
            buf_add_char(&text, *parser->at);
    }
    if (!*parser->at)
        return wrong(parser, "a string is not closed");
    parser->at++;
    value->term = TERM_STRING;
    value->text = arena_strdup(parser->arena, buf_text(&text));
    return 0;
}

static int parse_number(struct parser *parser, struct template_value *value)
{
    size_t length = strspn(parser->at, "-0123456789");
    int64_t number;

    if (str_to_i64(arena_strndup(parser->arena, parser->at, length), &number) < 0)
        return wrong(parser, "this is no number");
    parser->at += length;
    value->term = TERM_NUMBER;
    value->number = number;
    return 0;
}

/* .a.b behind a dot, a variable or a parenthesis. */
static int parse_path(struct parser *parser, struct template_value *value)
{
    while (*parser->at == '.' && is_word_char(parser->at[1])) {
        parser->at++;
        if (value->path_count == TEMPLATE_PATH_MAX)
            return wrong(parser, "too many parts in a path");
        value->path[value->path_count++] = take_word(parser);
    }
    return 0;
}

static int parse_parenthesis(struct parser *parser, struct template_value *value)
{
    parser->at++;
    if (++parser->depth > TEMPLATE_DEPTH_MAX)
        return wrong(parser, "nested too deep");
    int r = parse_pipeline(parser, &value->args[0]);
    if (r < 0)
        return r;
    parser->depth--;
    if (*parser->at != ')')
        return wrong(parser, "a \")\" is missing");
    parser->at++;
    value->term = TERM_FIELD;
    value->args_count = 1;
    return parse_path(parser, value);
}

static int parse_named(struct parser *parser, struct template_value *value)
{
    value->text = take_word(parser);
    value->term = TERM_CALL;
    if (str_equal(value->text, "true") || str_equal(value->text, "false")) {
        value->term = TERM_BOOL;
        value->number = str_equal(value->text, "true");
    } else if (str_equal(value->text, "nil")) {
        value->term = TERM_NIL;
    }
    return 0;
}

/* One operand; a function's name without its arguments. */
static int parse_operand(struct parser *parser, struct template_value **ret)
{
    struct template_value *value = arena_new(parser->arena, struct template_value);
    char c = *parser->at;
    int r;

    if (!count_node(parser))
        return wrong(parser, "too long");
    if (c == '"' || c == '`') {
        r = parse_string(parser, value);
    } else if (c == '(') {
        r = parse_parenthesis(parser, value);
    } else if (c == '$') {
        parser->at++;
        value->term = TERM_VARIABLE;
        value->text = take_word(parser);
        r = parse_path(parser, value);
    } else if (c == '.') {
        value->term = TERM_DOT;
        r = is_word_char(parser->at[1]) ? parse_path(parser, value) : 0;
        if (!value->path_count)
            parser->at++;
    } else if (isdigit((unsigned char)c) || (c == '-' && isdigit((unsigned char)parser->at[1]))) {
        r = parse_number(parser, value);
    } else if (isalpha((unsigned char)c)) {
        r = parse_named(parser, value);
    } else {
        r = wrong(parser, "this is no value");
    }
    *ret = value;
    return r;
}

/* .Label "KEY": Docker's lists have a method of that name. It is `label .Labels "KEY"`. */
static struct template_value *label_call(struct parser *parser, struct template_value *method)
{
    struct template_value *call = arena_new(parser->arena, struct template_value);

    method->path[method->path_count - 1] = "Labels";
    call->term = TERM_CALL;
    call->text = TEMPLATE_LABEL;
    call->args[call->args_count++] = method;
    return call;
}

static bool is_label(const struct template_value *value)
{
    return value->term != TERM_CALL && value->path_count &&
           str_equal(value->path[value->path_count - 1], "Label");
}

static bool at_end_of_command(struct parser *parser)
{
    skip_blanks(parser);
    return !*parser->at || *parser->at == ')' || *parser->at == '|' || at_end_of_action(parser);
}

/* A function with its arguments, or one value. */
static int parse_command(struct parser *parser, struct template_value **ret)
{
    struct template_value *first = NULL;
    int r = parse_operand(parser, &first);

    while (r == 0 && !at_end_of_command(parser)) {
        if (is_label(first))
            first = label_call(parser, first);
        if (first->term != TERM_CALL)
            return wrong(parser, "what stands before this is no function");
        if (first->args_count == TEMPLATE_ARGS_MAX - 1)
            return wrong(parser, "too many arguments");
        r = parse_operand(parser, &first->args[first->args_count]);
        first->args_count += r == 0;
    }
    if (r == 0)
        *ret = first;
    return r;
}

/* a | b c: the value on the left is the last argument on the right. */
static int parse_pipeline(struct parser *parser, struct template_value **ret)
{
    struct template_value *value = NULL;

    skip_blanks(parser);
    int r = parse_command(parser, &value);
    while (r == 0 && *parser->at == '|') {
        struct template_value *next = NULL;
        parser->at++;
        skip_blanks(parser);
        r = parse_command(parser, &next);
        if (r == 0 && next->term != TERM_CALL)
            r = wrong(parser, "only a function can stand behind a \"|\"");
        if (r == 0)
            next->args[next->args_count++] = value;
        value = next;
    }
    if (r == 0)
        *ret = value;
    return r;
}

/* ---- actions --------------------------------------------------------------------------------- */

/* "$a := ", "$a, $b := "; nothing is taken when it is none. */
static void parse_variables(struct parser *parser, const char **first, const char **second)
{
    const char *start = parser->at;

    *first = *second = NULL;
    if (*parser->at != '$')
        return;
    parser->at++;
    *first = take_word(parser);
    skip_blanks(parser);
    if (str_starts(parser->at, ",")) {
        parser->at++;
        skip_blanks(parser);
        parser->at += *parser->at == '$';
        *second = take_word(parser);
        skip_blanks(parser);
    }
    if (str_starts(parser->at, ":=") || (*parser->at == '=' && parser->at[1] != '=')) {
        parser->at += *parser->at == ':' ? 2 : 1;
        return;
    }
    parser->at = start;
    *first = *second = NULL;
}

static int end_of_action(struct parser *parser)
{
    skip_blanks(parser);
    if (!at_end_of_action(parser))
        return wrong(parser, "unclosed {{");
    close_action(parser);
    return 0;
}

/* if, with, range: up to their end. The keyword has been read. */
static int parse_block(struct parser *parser, struct template_node *node)
{
    enum ending ending = END_OF_TEXT;

    if (++parser->depth > TEMPLATE_DEPTH_MAX)
        return wrong(parser, "nested too deep");
    if (node->kind == TEMPLATE_RANGE) {
        parse_variables(parser, &node->text, &node->second);
        if (node->text && !node->second) { /* one alone is the item */
            node->second = node->text;
            node->text = NULL;
        }
    }
    int r = parse_pipeline(parser, &node->value);
    if (r == 0)
        r = end_of_action(parser);
    if (r == 0)
        r = parse_list(parser, &node->body, &ending);
    if (r == 0 && ending == END_ELSE_IF) {
        node->other = arena_new(parser->arena, struct template_node);
        node->other->kind = TEMPLATE_IF;
        r = parse_block(parser, node->other);
        ending = END_END;
    } else if (r == 0 && ending == END_ELSE) {
        r = parse_list(parser, &node->other, &ending);
    }
    parser->depth--;
    return r == 0 && ending != END_END ? wrong(parser, "{{end}} is missing") : r;
}

static int parse_statement(struct parser *parser, struct template_node *node)
{
    static const struct {
        const char *word;
        enum template_kind kind;
    } blocks[] = {{"if", TEMPLATE_IF}, {"with", TEMPLATE_WITH}, {"range", TEMPLATE_RANGE}};
    const char *second;

    for (size_t i = 0; i < sizeof(blocks) / sizeof(blocks[0]); i++) {
        if (take_keyword(parser, blocks[i].word)) {
            node->kind = blocks[i].kind;
            return parse_block(parser, node);
        }
    }
    parse_variables(parser, &node->text, &second);
    node->kind = node->text ? TEMPLATE_ASSIGN : TEMPLATE_PRINT;
    int r = parse_pipeline(parser, &node->value);
    return r < 0 ? r : end_of_action(parser);
}

/* What stands before {{, without its last blanks when that is {{-. */
static struct template_node *text_node(struct parser *parser, size_t length)
{
    const char *start = parser->at;
    bool trimmed = str_starts(start + length, "{{- ");

    while (parser->trim && length && isspace((unsigned char)*start)) {
        start++;
        length--;
        parser->at++;
    }
    parser->at += length;
    while (trimmed && length && isspace((unsigned char)start[length - 1]))
        length--;
    if (!length)
        return NULL;
    struct template_node *node = arena_new(parser->arena, struct template_node);
    node->kind = TEMPLATE_TEXT;
    node->text = arena_strndup(parser->arena, start, length);
    return node;
}

/* Whether an action ends a list. */
static bool parse_ending(struct parser *parser, enum ending *ending, int *r)
{
    if (take_keyword(parser, "end")) {
        *ending = END_END;
    } else if (take_keyword(parser, "else")) {
        *ending = take_keyword(parser, "if") ? END_ELSE_IF : END_ELSE;
        if (*ending == END_ELSE_IF)
            return true; /* what follows is a condition */
    } else {
        return false;
    }
    *r = end_of_action(parser);
    return true;
}

static int parse_list(struct parser *parser, struct template_node **ret, enum ending *ending)
{
    struct template_node **last = ret;
    int r = 0;

    while (r == 0 && *parser->at) {
        const char *open = strstr(parser->at, "{{");
        size_t length = open ? (size_t)(open - parser->at) : strlen(parser->at);
        struct template_node *node = text_node(parser, length);
        parser->trim = false;
        if (node) {
            *last = node;
            last = &node->next;
        }
        if (!open)
            break;
        parser->at += str_starts(parser->at, "{{- ") ? 3 : 2;
        skip_blanks(parser);
        if (str_starts(parser->at, "/*")) {
            const char *close = strstr(parser->at, "*/");
            parser->at = close ? close + 2 : parser->at;
            r = end_of_action(parser);
            continue;
        }
        if (parse_ending(parser, ending, &r))
            return r;
        if (!count_node(parser))
            return wrong(parser, "too long");
        node = arena_new(parser->arena, struct template_node);
        *last = node;
        last = &node->next;
        r = parse_statement(parser, node);
    }
    *ending = END_OF_TEXT;
    return r;
}

int template_tree(
        struct arena *arena, const char *text, struct template_node **ret, struct error *err)
{
    struct parser parser = {.arena = arena, .text = text, .at = text, .err = err};
    struct template_node *first = NULL;
    enum ending ending;

    if (strlen(text) > TEMPLATE_TEXT_MAX)
        return error_set(err, EINVAL, "a template may have %d bytes", TEMPLATE_TEXT_MAX);
    int r = parse_list(&parser, &first, &ending);
    if (r == 0 && ending != END_OF_TEXT)
        r = wrong(&parser, "{{end}} or {{else}} without a beginning");
    if (r == 0)
        *ret = first;
    return r;
}
