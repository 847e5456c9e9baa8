#include "engine/stoppedpath.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "engine/root.h"
#include "engine/volumes.h"
#include "rootfs/inroot.h"

#define LINKS_MAX 40 /* as the kernel's MAXSYMLINKS */

struct walk {
    struct engine *engine;
    const struct sandbox *sandbox;
    int root_fd;
    const char *done; /* without links; "" is the root */
    const char *rest;
    unsigned links;
};

/* What a link leads to: 1, and its target; 0: it is none, or not there. */
static int read_link(struct walk *walk, const char *path, const char **ret, struct error *err)
{
    char target[PATH_MAX];
    struct stat st;
    const char *inside = path;
    int opened = -1;
    int r = volumes_open_at(walk->engine, &walk->sandbox->meta, path, false, &opened, &inside, err);
    _cleanup_close_ int volume = opened;

    if (r < 0)
        return r;
    _cleanup_close_ int node = inroot_open(
            r > 0 ? volume : walk->root_fd, inside, INROOT_MUST_EXIST, INROOT_NO_LAST, NULL);
    if (node < 0 || fstat(node, &st) < 0 || !S_ISLNK(st.st_mode))
        return 0;
    ssize_t length = readlinkat(node, "", target, sizeof(target) - 1);
    if (length < 0)
        return error_sys(err, errno, "read the link %s", path);
    target[length] = '\0';
    *ret = arena_strdup(walk->engine->arena, target);
    return 1;
}

/* Takes the next part off the rest; NULL: there is none. */
static const char *next_part(struct walk *walk)
{
    const char *start = walk->rest + strspn(walk->rest, "/");
    size_t length = strcspn(start, "/");

    walk->rest = start + length;
    return length ? arena_strndup(walk->engine->arena, start, length) : NULL;
}

static bool is_last(const struct walk *walk)
{
    return walk->rest[strspn(walk->rest, "/")] == '\0';
}

static int take_part(struct walk *walk, const char *part, bool last, struct error *err)
{
    struct arena *arena = walk->engine->arena;
    const char *target;

    if (str_equal(part, "."))
        return 0;
    if (str_equal(part, "..")) {
        const char *slash = strrchr(walk->done, '/');
        walk->done = slash ? arena_strndup(arena, walk->done, (size_t)(slash - walk->done)) : "";
        return 0;
    }
    const char *path = arena_printf(arena, "%s/%s", walk->done, part);
    int r = is_last(walk) && !last ? 0 : read_link(walk, path, &target, err);
    if (r <= 0) {
        walk->done = path;
        return r;
    }
    if (++walk->links > LINKS_MAX)
        return error_set(err, ELOOP, "%s: too many links", path);
    if (target[0] == '/')
        walk->done = "";
    walk->rest = arena_printf(arena, "%s/%s", target, walk->rest);
    return 0;
}

int stopped_path(struct engine *engine, const struct sandbox *sandbox, const char *path, bool last,
        const char **ret, struct error *err)
{
    _cleanup_close_ int root = -1;
    struct walk walk = {.engine = engine, .sandbox = sandbox, .done = "", .rest = path};
    const char *part;
    bool slash = str_ends(path, "/") || str_ends(path, "/.");
    int r = engine_root_open_of(engine, sandbox, &root, err);

    walk.root_fd = root;
    while (r == 0 && (part = next_part(&walk)))
        r = take_part(&walk, part, last || slash, err);
    if (r == 0)
        *ret = arena_printf(engine->arena, "%s%s", walk.done, slash || !*walk.done ? "/" : "");
    return r;
}
