#include "observe/table.h"

#include <time.h>

#include "base/str.h"
#include "observe/style.h"

void table_add(struct table *table, const char *const *cells)
{
    for (size_t i = 0; i < table->columns; i++) {
        strv_add(table->arena, &table->cells, cells[i] ? cells[i] : "");
        str_tame(table->cells.words[table->cells.count - 1], "");
    }
}

/* Characters, not bytes: continuation bytes of UTF-8 take no column. */
static bool begins_character(char c)
{
    return ((unsigned char)c & 0xc0) != 0x80;
}

static size_t display_width(const char *text)
{
    size_t width = 0;

    for (; *text; text++)
        width += begins_character(*text);
    return width;
}

const char *table_cut(struct arena *arena, const char *text, size_t width)
{
    const char *end = text;
    size_t characters = 0;

    if (display_width(text) <= width)
        return text;
    while ((characters += begins_character(*end)) < width)
        end++;
    return arena_printf(arena, "%.*s…", (int)(end - text), text);
}

void table_print(const struct table *table, FILE *out)
{
    const struct style *style = style_for(out);
    size_t widths[TABLE_COLUMNS_MAX] = {0};

    for (size_t i = 0; i < table->cells.count; i++) {
        size_t width = display_width(table->cells.words[i]);
        if (width > widths[i % table->columns])
            widths[i % table->columns] = width;
    }
    for (size_t i = 0; i < table->cells.count; i++) {
        const char *cell = table->cells.words[i];
        size_t column = i % table->columns;
        bool last = column + 1 == table->columns;
        size_t padding = last ? 0 : widths[column] - display_width(cell) + 3;
        fprintf(out, "%s%s%s%*s%s", i < table->columns ? style->bold : "", cell,
                i < table->columns ? style->reset : "", (int)padding, "", last ? "\n" : "");
    }
}

const char *table_bytes(struct arena *arena, uint64_t bytes)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    double value = (double)bytes;
    size_t unit = 0;

    while (value >= 1024 && unit + 1 < sizeof(units) / sizeof(units[0])) {
        value /= 1024;
        unit++;
    }
    return arena_printf(arena, unit ? "%.1f %s" : "%.0f %s", value, units[unit]);
}

const char *table_since(struct arena *arena, const char *when)
{
    static const struct {
        const char *name;
        long seconds;
    } units[] = {{"day", 86400}, {"hour", 3600}, {"minute", 60}, {"second", 1}};
    struct tm parts = {0};

    if (!when || !strptime(when, "%Y-%m-%dT%H:%M:%S", &parts))
        return "";
    long age = (long)(time(NULL) - timegm(&parts));
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        long count = age / units[i].seconds;
        if (count > 0)
            return arena_printf(arena, "%ld %s%s", count, units[i].name, count == 1 ? "" : "s");
    }
    return "a moment";
}
