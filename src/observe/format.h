/*
 * How a list is printed, by what `--format` says, as Docker and Podman have it:
 *
 *     nothing           the usual table
 *     table TEMPLATE    a table of the template's columns, which \t separates
 *     json              a JSON array
 *     TEMPLATE          a line for each
 */
#pragma once

#include <stdio.h>

#include "base/arena.h"
#include "base/json.h"

struct format_list {
    const char *usual;        /* the columns of the usual table: "{{.ID}}\t{{.Names}}" */
    const char *const *names; /* headings that are not the members' own, see template_heading() */
    bool no_heading;          /* the rows of a table alone */
};

/* Prints rows: an array of objects. -EINVAL for a template that is wrong. */
int format_print(struct arena *arena, const char *format, const struct format_list *list,
        struct json_object *rows, FILE *out, struct error *err);

/* Prints one template over each item of an array, a line each. */
int format_each(struct arena *arena, const char *text, struct json_object *items, FILE *out,
        struct error *err);
