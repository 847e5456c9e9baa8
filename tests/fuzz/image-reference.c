/* Names of images, and the names of transports: parsed, completed, put into words, parsed again. */
#include <stdint.h>
#include <stdlib.h>

#include "image/platform.h"
#include "image/reference.h"
#include "image/transport.h"

#include "base/str.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    _cleanup_arena_ struct arena arena = {0};
    char *text = arena_strndup(&arena, (const char *)data, size);
    struct reference found;
    struct reference again;
    struct transport_name name;
    struct platform platform;

    platform_parse(text, &arena, &platform, NULL);
    transport_parse(text, &arena, &name, NULL);
    if (reference_parse(text, &arena, &found, NULL) < 0)
        return 0;
    if (!str_equal(reference_text(&found, &arena), text))
        abort();
    found = reference_complete(&found, &arena);
    if (reference_parse(reference_text(&found, &arena), &arena, &again, NULL) < 0)
        abort();
    return 0;
}
