#include "base/path.h"

#include <string.h>

#include "base/str.h"

char *path_join(struct arena *arena, const char *first, const char *second)
{
    size_t length = strlen(first);

    while (*second == '/')
        second++;
    while (length > 1 && first[length - 1] == '/')
        length--;
    if (!*second)
        return arena_strndup(arena, first, length);
    const char *slash = length && first[length - 1] == '/' ? "" : "/";
    return arena_printf(arena, "%.*s%s%s", (int)length, first, length ? slash : "", second);
}

char *path_clean(struct arena *arena, const char *path)
{
    bool absolute = path[0] == '/';
    struct strv parts = {0};
    struct strv kept = {0};
    const char *part;

    strv_split(arena, &parts, path, '/');
    strv_foreach (part, &parts) {
        if (str_equal(part, "."))
            continue;
        bool up = str_equal(part, "..");
        if (up && kept.count && !str_equal(kept.words[kept.count - 1], ".."))
            kept.words[--kept.count] = NULL;
        else if (!up || !absolute)
            strv_add(arena, &kept, part);
    }
    char *joined = strv_join(arena, &kept, "/");
    if (absolute)
        return arena_printf(arena, "/%s", joined);
    return *joined ? joined : arena_strdup(arena, ".");
}

bool path_is_below(const char *path, const char *dir)
{
    if (str_equal(dir, "/"))
        return path[0] == '/';
    const char *rest = str_after(path, dir);
    return rest && (*rest == '\0' || *rest == '/');
}

bool path_has_dotdot(const char *path)
{
    while (*path) {
        size_t length = strcspn(path, "/");
        if (length == 2 && path[0] == '.' && path[1] == '.')
            return true;
        path += length;
        path += strspn(path, "/");
    }
    return false;
}

const char *path_base(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

char *path_dir(struct arena *arena, const char *path)
{
    const char *slash = strrchr(path, '/');

    if (!slash)
        return arena_strdup(arena, ".");
    return arena_strndup(arena, path, slash == path ? 1 : (size_t)(slash - path));
}
