#include "image/place.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "sys/mount.h"

#define RESOLVE (RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV)

void place_start(struct place *place, int root_fd, bool make)
{
    place->root_fd = root_fd;
    place->make = make;
    place->resolve = RESOLVE;
    place->parent_fd = -1;
    place->made = 0;
}

void place_forget(struct place *place)
{
    if (place->parent_fd >= 0)
        close(place->parent_fd);
    place->parent_fd = -1;
}

void place_end(struct place *place)
{
    place_forget(place);
}

/* "./usr//bin/" becomes "usr/bin". */
static int clean_path(const char *path, char *clean, struct error *err)
{
    size_t used = 0;

    for (const char *at = path; *at;) {
        size_t length = strcspn(at, "/");
        if (length == 2 && memcmp(at, "..", 2) == 0)
            return error_set(err, EINVAL, "the name has \"..\", which could lead out of the layer");
        if (length > 255)
            return error_set(err, ENAMETOOLONG, "a part of the name is longer than 255 bytes");
        if (length && !(length == 1 && *at == '.')) {
            if (used + length + 2 > PLACE_MAX)
                return error_set(err, ENAMETOOLONG, "the name is longer than %d bytes", PLACE_MAX);
            if (used)
                clean[used++] = '/';
            memcpy(clean + used, at, length);
            used += length;
        }
        at += length;
        while (*at == '/')
            at++;
    }
    clean[used] = '\0';
    return 0;
}

static int open_parent(struct place *place, const char *parent)
{
    return sys_openat2(
            place->root_fd, *parent ? parent : ".", O_PATH | O_DIRECTORY, 0, place->resolve);
}

/* Makes "a", "a/b" … as they are missing, each below what the one before resolved to. */
static int make_parents(struct place *place, char *parent)
{
    for (char *slash = strchr(parent, '/');; slash = strchr(slash + 1, '/')) {
        if (slash)
            *slash = '\0';
        _cleanup_close_ int fd = open_parent(place, parent);
        int r = fd;
        if (fd == -ENOENT) {
            char *last = strrchr(parent, '/');
            if (last)
                *last = '\0';
            _cleanup_close_ int above = open_parent(place, last ? parent : "");
            if (last)
                *last = '/';
            r = above < 0 ? above : sys_mkdirat(above, last ? last + 1 : parent, 0755);
            place->made += r == 0;
        }
        if (slash)
            *slash = '/';
        if (r < 0 || !slash)
            return r < 0 ? r : 0;
    }
}

static int enter_parent(struct place *place, char *parent, struct error *err)
{
    if (place->parent_fd >= 0 && strcmp(place->parent, parent) == 0)
        return 0;
    place_forget(place);
    int fd = open_parent(place, parent);
    if (fd == -ENOENT && place->make) {
        int r = make_parents(place, parent);
        fd = r < 0 ? r : open_parent(place, parent);
    }
    if (fd == -EEXIST)
        return error_set(err, EINVAL,
                "its folder \"%s\" is, or leads through, a link to nothing in the layer", parent);
    if (fd < 0)
        return error_sys(err, -fd, "open its folder \"%s\" inside the layer", parent);
    memcpy(place->parent, parent, strlen(parent) + 1);
    place->parent_fd = fd;
    return 0;
}

int place_find(struct place *place, const char *path, struct error *err)
{
    char parent[PLACE_MAX];

    int r = clean_path(path, place->clean, err);
    if (r < 0)
        return r;
    char *slash = strrchr(place->clean, '/');
    size_t length = slash ? (size_t)(slash - place->clean) : 0;
    memcpy(parent, place->clean, length);
    parent[length] = '\0';
    place->name = slash ? slash + 1 : place->clean;
    return enter_parent(place, parent, err);
}
