/* registries.conf: the TOML reader, and what its rules make of names. */
#include <stdint.h>

#include "image/registries.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[] = {"debian", "a.example/b/c:1", "x.wild.example:5000/y"};
    _cleanup_arena_ struct arena arena = {0};
    struct registries registries = {0};

    if (registries_read(&registries, (const char *)data, size, "fuzz", &arena, NULL) < 0)
        return 0;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        struct reference name;
        struct reference *full;
        struct registry_endpoint *endpoints;
        size_t count;
        reference_parse(names[i], &arena, &name, NULL);
        if (registries_resolve(&registries, &name, &arena, &full, &count, NULL) < 0)
            continue;
        for (size_t k = 0; k < count; k++) {
            size_t places;
            registries_endpoints(&registries, &full[k], k & 1, &arena, &endpoints, &places, NULL);
        }
    }
    return 0;
}
