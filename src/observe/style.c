#include "observe/style.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/str.h"

static const struct style plain = {"", "", "", "", "", "", ""};
static const struct style coloured = {
        "\033[1m", "\033[2m", "\033[31m", "\033[32m", "\033[33m", "\033[34m", "\033[0m"};

const struct style *style_for(FILE *file)
{
    const char *terminal = getenv("TERM");

    if (!str_empty(getenv("NO_COLOR")) || str_equal(terminal, "dumb") || !isatty(fileno(file)))
        return &plain;
    return &coloured;
}

void style_print_line(FILE *file, const char *text)
{
    _cleanup_free_ char *tame = isatty(fileno(file)) ? strdup(text) : NULL;

    if (tame)
        str_tame(tame, "\n\t");
    fprintf(file, "%s\n", tame ? tame : text);
}
