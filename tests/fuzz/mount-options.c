/* Whatever words a mount has: attributes never contradict each other, and known words leave no
 * data. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "rootfs/attr.h"
#include "rootfs/options.h"

static void check_call(const struct mount_attr *attr)
{
    uint64_t both = attr->attr_set & attr->attr_clr & ~(uint64_t)MOUNT_ATTR__ATIME;
    uint64_t time = attr->attr_clr & MOUNT_ATTR__ATIME;

    /* mount_setattr(2): access times are cleared as a whole, and before one is set */
    if (both || (time && time != MOUNT_ATTR__ATIME))
        abort();
    if ((attr->attr_set & MOUNT_ATTR__ATIME) && !time)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    _cleanup_arena_ struct arena arena = {0};
    char *text = arena_strndup(&arena, (const char *)data, size);
    struct mount_options options = {0};
    struct strv words = {0};
    struct error err = ERROR_NONE;

    strv_split(&arena, &words, text, ',');
    if (mount_options_read(&arena, &words, &options, &err) < 0) {
        if (!*err.text)
            abort();
        return 0;
    }
    for (int recursive = 0; recursive < 2; recursive++) {
        struct attr_calls calls = attr_plan(&options, recursive, MS_PRIVATE);
        for (size_t i = 0; i < calls.count; i++)
            check_call(&calls.calls[i].attr);
    }
    return 0;
}
