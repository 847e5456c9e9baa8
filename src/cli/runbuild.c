#include "cli/runbuild.h"

int run_split(struct arena *arena, const char *text, char sign, const char **ret_key,
        const char **ret_value)
{
    const char *at = strchr(text, sign);

    if (!at || at == text)
        return -1;
    *ret_key = arena_strndup(arena, text, (size_t)(at - text));
    *ret_value = at + 1;
    return 0;
}

static int each_line(struct run_build *build, const char *where, const char *text, run_line_fn fn,
        struct error *err)
{
    int r = 0;

    if (str_starts(text, "\xef\xbb\xbf")) /* a byte order mark */
        text += 3;
    for (size_t number = 1; r == 0 && *text; number++) {
        size_t length = strcspn(text, "\n");
        size_t used = length && text[length - 1] == '\r' ? length - 1 : length;
        const char *line = arena_strndup(build->arena, text, used);
        line += strspn(line, " \t");
        if (*line && *line != '#')
            r = fn(build, line, arena_printf(build->arena, "%s:%zu", where, number), err);
        text += length;
        text += *text == '\n';
    }
    return r;
}

int run_lines(struct run_build *build, const char *flag, const struct strv *names,
        const struct strv *texts, run_line_fn fn, struct error *err)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < names->count; i++) {
        const char *where = arena_printf(build->arena, "%s %s", flag, names->words[i]);
        if (i >= texts->count)
            return error_set(err, EINVAL, "%s was not read", where);
        r = each_line(build, where, texts->words[i], fn, err);
    }
    return r;
}
