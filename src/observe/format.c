#include "observe/format.h"

#include <string.h>

#include "base/str.h"
#include "observe/style.h"
#include "observe/table.h"
#include "observe/template.h"

/* Shells leave \t and \n in single quotes as they are. */
static const char *unescape(struct arena *arena, const char *text)
{
    char *copy = arena_strdup(arena, text);
    char *out = copy;

    for (const char *at = copy; *at; at++) {
        bool escape = *at == '\\' && (at[1] == 't' || at[1] == 'n');
        if (escape)
            at++;
        *out++ = !escape ? *at : *at == 't' ? '\t' : '\n';
    }
    *out = '\0';
    return copy;
}

static void add_cells(struct table *table, const char *line)
{
    const char *row[TABLE_COLUMNS_MAX] = {NULL};
    const char *at = line;

    for (size_t i = 0; at && i < table->columns; i++) {
        const char *end = strchr(at, '\t');
        size_t length = end ? (size_t)(end - at) : strlen(at);
        row[i] = arena_strndup(table->arena, at, length);
        at = end ? end + 1 : NULL;
    }
    table_add(table, row);
}

static int print_table(struct arena *arena, const char *text, const struct format_list *list,
        struct json_object *rows, FILE *out, struct error *err)
{
    struct table table = {.arena = arena, .columns = 1};
    _cleanup_buf_ struct buf heading = {0};
    struct template *template;
    int r = template_parse(arena, text, &template, err);

    if (r == 0)
        r = template_heading(template, list->names, &heading, err);
    if (r < 0)
        return r;
    for (const char *at = buf_text(&heading); *at; at++)
        table.columns += *at == '\t' && table.columns < TABLE_COLUMNS_MAX;
    if (!list->no_heading)
        add_cells(&table, buf_text(&heading));
    for (size_t i = 0; i < json_object_array_length(rows); i++) {
        _cleanup_buf_ struct buf line = {0};
        r = template_render(template, json_object_array_get_idx(rows, i), &line, err);
        if (r < 0)
            return r;
        add_cells(&table, buf_text(&line));
    }
    table_print(&table, out);
    return 0;
}

int format_each(struct arena *arena, const char *text, struct json_object *items, FILE *out,
        struct error *err)
{
    struct template *template;
    int r = template_parse(arena, unescape(arena, text), &template, err);

    for (size_t i = 0; r == 0 && i < json_object_array_length(items); i++) {
        _cleanup_buf_ struct buf line = {0};
        r = template_render(template, json_object_array_get_idx(items, i), &line, err);
        if (r == 0)
            style_print_line(out, buf_text(&line));
    }
    return r;
}

int format_print(struct arena *arena, const char *format, const struct format_list *list,
        struct json_object *rows, FILE *out, struct error *err)
{
    if (!format || str_equal(format, "table"))
        return print_table(arena, list->usual, list, rows, out, err);
    if (str_equal(format, "json")) {
        style_print_line(out, json_text_pretty(rows));
        return 0;
    }
    if (str_starts(format, "table "))
        return print_table(arena, unescape(arena, format + strlen("table ")), list, rows, out, err);
    return format_each(arena, format, rows, out, err);
}
