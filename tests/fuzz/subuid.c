/* Whatever /etc/subuid holds: the ranges read are bounded, and the maps made of them are such as
 * the kernel takes. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "ns/idmap.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    _cleanup_arena_ struct arena arena = {0};
    char *text = arena_strndup(&arena, (const char *)data, size);
    struct id_ranges ranges = {0};
    struct id_range found;
    struct id_maps maps;
    struct error err = ERROR_NONE;

    idmap_read_subids(&arena, text, "ann", 1000, &ranges);
    if (ranges.count > 64)
        abort();
    idmap_rootless(&arena, 1000, &ranges, &maps);
    if (idmap_check(&maps, "maps", &err) < 0)
        abort();
    if (idmap_find_free(100000, 65536, &ranges, &found, &err) < 0)
        return 0;
    for (size_t i = 0; i < ranges.count; i++) {
        uint64_t end = (uint64_t)ranges.items[i].first + ranges.items[i].count;
        if (found.first < end && ranges.items[i].first < (uint64_t)found.first + found.count)
            abort();
    }
    return 0;
}
