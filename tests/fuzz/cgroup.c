/* What is read as mountinfo and /proc/self/cgroup (divided by a NUL) gives hierarchies whose texts
 * are whole: absolute paths without "..", and controllers that belong to their names. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/path.h"
#include "base/str.h"
#include "cgroup/layout.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    _cleanup_arena_ struct arena arena = {0};
    struct cgroup_layout layout;
    char *text = arena_strndup(&arena, (const char *)data, size);
    size_t length = strlen(text);
    const char *self = length < size ? arena_strndup(&arena, (const char *)data + length + 1,
                                               size - length - 1)
                                     : "";
    struct cgroup_layout_source source = {text, self, NULL, NULL};

    cgroup_layout_parse(&arena, &source, &layout);
    for (size_t i = 0; i < layout.count; i++) {
        const struct cgroup_hierarchy *item = &layout.items[i];
        if (*item->mount != '/' ||
                (item->self && (*item->self != '/' || path_has_dotdot(item->self))))
            abort();
        if (!item->unified && item->controllers != cgroup_controllers_parse(item->names, ','))
            abort();
        if (!item->unified && !*item->names)
            abort();
    }
    return 0;
}
