/* Manifests and lists: whatever is accepted can be written and read again. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "image/manifest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    _cleanup_arena_ struct arena arena = {0};
    struct manifest found;
    struct manifest again;
    struct platform platform;
    const struct descriptor *chosen;
    char *text;

    if (manifest_parse((const char *)data, size, NULL, &arena, &found, NULL) < 0)
        return 0;
    platform_parse("linux/arm/v7", &arena, &platform, NULL);
    if (found.list)
        manifest_choose(&found, &platform, &arena, &chosen, NULL);
    else if (manifest_write(&found, true, &arena, &text, NULL) == 0 &&
             manifest_parse(text, strlen(text), NULL, &arena, &again, NULL) < 0)
        abort();
    return 0;
}
