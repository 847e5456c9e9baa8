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
