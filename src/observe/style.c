#include "observe/style.h"

#include <stdlib.h>
#include <unistd.h>

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
