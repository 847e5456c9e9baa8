/* What is remembered of a container, as state.json and as its short form, the glance: what is
 * accepted as the one can be told, and what is accepted as the other is printed and read as the
 * same again. */
#include <limits.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "container/state.h"

static void check_glance(const char *text, size_t size, struct arena *arena)
{
    struct container_state state, again;
    char printed[PATH_MAX], second[PATH_MAX];
    int r = container_state_glance_parse(text, size, arena, &state);

    if (r < 0 || !container_state_glance_print(&state, printed, sizeof(printed)))
        return;
    if (container_state_glance_parse(printed, strlen(printed), arena, &again) < 0)
        abort();
    if (!container_state_glance_print(&again, second, sizeof(second)) ||
            strcmp(printed, second) != 0 || again.pid != state.pid ||
            again.start_time != state.start_time || !again.bundle != !state.bundle)
        abort();
}

static void check_whole(const char *text, size_t size, struct arena *arena)
{
    _cleanup_buf_ struct buf told = {0};
    struct container_state state;
    struct error err = ERROR_NONE;
    struct spec_state spec;
    int r = container_state_parse(text, size, arena, &state, &err);

    if (r < 0 && !*err.text)
        abort();
    if (r < 0)
        return;
    container_state_as_spec(&state, SPEC_RUNNING, &spec);
    spec_state_print_full(&spec, &told);
    if (!state.id || spec.pid != state.pid || told.length == 0)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    _cleanup_arena_ struct arena arena = {0};

    check_glance((const char *)data, size, &arena);
    check_whole((const char *)data, size, &arena);
    return 0;
}
