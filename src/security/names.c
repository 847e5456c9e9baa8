#include "security/names.h"

#include "base/buf.h"

const struct name *names_find(const struct names *table, const char *word)
{
    for (size_t i = 0; word && i < table->count; i++)
        if (str_equal(table->rows[i].name, word))
            return &table->rows[i];
    return NULL;
}

#define CANDIDATES_MAX 64

int names_value(const struct names *table, const char *word, uint64_t *ret, struct error *err)
{
    const struct name *row = names_find(table, word);
    const char *candidates[CANDIDATES_MAX];
    size_t count = 0;

    if (row) {
        *ret = row->value;
        return 0;
    }
    for (; count < table->count && count < CANDIDATES_MAX; count++)
        candidates[count] = table->rows[count].name;
    const char *close = str_closest(word ? word : "", candidates, count);
    error_set(err, EINVAL, "unknown %s \"%s\"", table->what, word ? word : "");
    if (close)
        error_append(err, "; did you mean %s?", close);
    return -EINVAL;
}

int names_flags(
        const struct names *table, const struct strv *words, uint64_t *ret, struct error *err)
{
    uint64_t mask = 0;
    const char *word;

    strv_foreach (word, words) {
        uint64_t value;
        int r = names_value(table, word, &value, err);
        if (r < 0)
            return r;
        mask |= value;
    }
    *ret = mask;
    return 0;
}

const char *names_name(const struct names *table, uint64_t value)
{
    for (size_t i = 0; i < table->count; i++)
        if (table->rows[i].value == value)
            return table->rows[i].name;
    return NULL;
}

char *names_join(struct arena *arena, const struct names *table, uint64_t mask)
{
    _cleanup_buf_ struct buf text = {0};

    for (size_t i = 0; i < table->count; i++)
        if (table->rows[i].value && (mask & table->rows[i].value) == table->rows[i].value)
            buf_printf(&text, "%s%s", text.length ? "|" : "", table->rows[i].name);
    return arena_strdup(arena, text.length ? buf_text(&text) : "0");
}
