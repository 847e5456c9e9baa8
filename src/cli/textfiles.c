#include "cli/textfiles.h"

#include <fcntl.h>

#include "base/buf.h"
#include "base/io.h"

#define TEXT_MAX (1 << 20)

int textfiles_read(struct arena *arena, const char *flag, const struct strv *paths,
        struct strv *ret, struct error *err)
{
    struct strv texts = {0};
    const char *path;

    strv_foreach (path, paths) {
        _cleanup_buf_ struct buf text = {.max = TEXT_MAX};
        int r = io_read_file_at(AT_FDCWD, path, &text);
        if (r < 0)
            return error_sys_hint(err, -r, "name a file that can be read", "%s %s", flag, path);
        strv_add(arena, &texts, buf_text(&text));
    }
    *ret = texts;
    return 0;
}
