/*
 * The text of a template (template.h), taken apart: a tree of nodes in an arena. Hostile text is
 * met here and nowhere else: its size, depth and number of nodes are capped.
 */
#pragma once

#include "base/arena.h"
#include "base/error.h"

#define TEMPLATE_TEXT_MAX 65536
#define TEMPLATE_DEPTH_MAX 32
#define TEMPLATE_NODES_MAX 8192

enum template_kind {
    TEMPLATE_TEXT,   /* `text` as it is */
    TEMPLATE_PRINT,  /* the value of `value` */
    TEMPLATE_ASSIGN, /* $text := value, prints nothing */
    TEMPLATE_IF,     /* value, then `body`, else `other` */
    TEMPLATE_WITH,   /* the same with the value as the dot */
    TEMPLATE_RANGE,  /* over value: key in $text, item in $second */
};

enum template_term {
    TERM_STRING, /* `text` */
    TERM_NUMBER, /* `number` */
    TERM_BOOL,   /* `number` */
    TERM_NIL,
    TERM_DOT,      /* .a.b: `path` from the dot */
    TERM_VARIABLE, /* $text.a.b; "$" alone is the whole data */
    TERM_CALL,     /* function `text` of `args` */
    TERM_FIELD,    /* (args[0]).a.b */
};

#define TEMPLATE_ARGS_MAX 16
#define TEMPLATE_LABEL "label" /* the function that `.Label "KEY"` is a call of */
#define TEMPLATE_PATH_MAX 16

struct template_value {
    enum template_term term;
    const char *text;
    long number;
    const char *path[TEMPLATE_PATH_MAX];
    size_t path_count;
    struct template_value *args[TEMPLATE_ARGS_MAX];
    size_t args_count;
};

struct template_node {
    enum template_kind kind;
    const char *text;
    const char *second;
    struct template_value *value;
    struct template_node *body;
    struct template_node *other;
    struct template_node *next;
};

/* The first node (NULL: an empty text), in the arena. -EINVAL: "…: unclosed {{". */
int template_tree(
        struct arena *arena, const char *text, struct template_node **ret, struct error *err);
