#include "plan/step.h"

#include <ctype.h>

#include "base/buf.h"

const char *step_place_name(enum step_place place)
{
    static const char *const names[STEP_PLACES] = {"host", "child", "machine", "guest"};

    return place < STEP_PLACES ? names[place] : "nowhere";
}

void step_call(struct step_text *text, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    strv_add(text->arena, &text->calls, arena_vprintf(text->arena, format, args));
    va_end(args);
}

void step_why(struct step_text *text, const char *format, ...)
{
    va_list args;

    if (text->calls_only)
        return;
    va_start(args, format);
    char *why = arena_vprintf(text->arena, format, args);
    va_end(args);
    size_t length = strlen(why);
    if (length)
        why[0] = (char)toupper((unsigned char)why[0]);
    text->why = length && why[length - 1] != '.' ? arena_printf(text->arena, "%s.", why) : why;
}

static void add_escaped(struct buf *quoted, unsigned char c)
{
    static const char plain[] = "\"\\\n\t\r\v\f";
    static const char letters[] = "\"\\ntrvf";
    const char *at = c ? strchr(plain, c) : NULL;

    if (at)
        buf_printf(quoted, "\\%c", letters[at - plain]);
    else if (isprint(c))
        buf_add_char(quoted, (char)c);
    else
        buf_printf(quoted, "\\%o", c);
}

const char *step_quote(struct arena *arena, const char *text)
{
    struct buf quoted = {0};

    if (!text)
        return "NULL";
    buf_add_char(&quoted, '"');
    for (const char *at = text; *at; at++)
        add_escaped(&quoted, (unsigned char)*at);
    buf_add_char(&quoted, '"');
    char *copy = arena_strdup(arena, buf_text(&quoted));
    buf_free(&quoted);
    return copy;
}
