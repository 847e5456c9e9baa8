#include "engine/stoppedpath.h"

#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/path.h"
#include "engine/root.h"
#include "engine/volumes.h"
#include "rootfs/elsewhere.h"
#include "rootfs/inroot.h"
#include "rootfs/options.h"
#include "sys/mount.h"

#define LINKS_MAX 40 /* as the kernel's MAXSYMLINKS */

struct walk {
    const struct stopped *stopped;
    struct arena *arena;
    int root_fd;
    const char *done; /* without links; "" is the root */
    const char *rest;
    unsigned links;
};

/* ---- what is mounted ------------------------------------------------------------------------- */

/* What of a path is below another one, "/" at least; NULL: it is not. */
static const char *below(const char *path, const char *place)
{
    const char *rest = str_after(path, place);

    if (!rest || (*rest && *rest != '/'))
        return NULL;
    return *rest ? rest : "/";
}

static const struct sandbox_volume *find_volume(const struct stopped *stopped, const char *path)
{
    const struct sandbox_meta *meta = &stopped->sandbox->meta;
    const struct sandbox_volume *found = NULL;

    for (size_t i = 0; i < meta->volumes.count; i++) {
        const struct sandbox_volume *use = &meta->volumes.items[i];
        bool deeper = !found || strlen(use->destination) > strlen(found->destination);
        if (deeper && below(path, use->destination))
            found = use;
    }
    return found;
}

static const struct spec_mount *find_bind(
        const struct stopped *stopped, const char *path, const char **ret_place)
{
    const struct spec_mount *found = NULL;

    for (size_t i = 0; i < stopped->spec->mounts.count; i++) {
        const struct spec_mount *mount = &stopped->spec->mounts.items[i];
        const char *place = path_clean(stopped->engine->arena, mount->destination);
        bool deeper = !found || strlen(place) >= strlen(*ret_place);
        if (!spec_mount_is_bind(mount) || !deeper || !below(path, place))
            continue;
        found = mount;
        *ret_place = place;
    }
    return found;
}

bool stopped_has_mounts(const struct stopped *stopped)
{
    for (size_t i = 0; i < stopped->spec->mounts.count; i++)
        if (spec_mount_is_bind(&stopped->spec->mounts.items[i]))
            return true;
    return stopped->sandbox->meta.volumes.count > 0;
}

/* Of one file the folder that it is in. */
static int open_file(struct arena *arena, const char *source, struct stopped_place *ret)
{
    _cleanup_free_ char *real = realpath(source, NULL);

    if (!real)
        return -errno;
    int fd = open(path_dir(arena, real), O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    ret->fd = fd;
    ret->path = arena_printf(arena, "/%s%s", path_base(real), ret->path[1] ? ret->path : "");
    return 0;
}

/* As the mount will be: without what is mounted below the source, where it is not to come along. */
static int open_source(struct arena *arena, const char *source, const struct mount_options *options,
        struct stopped_place *ret)
{
    int r = sys_open_tree(AT_FDCWD, source,
            OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (options->rbind ? AT_RECURSIVE : 0));
    _cleanup_close_ int fd = r;
    struct stat st;

    if (r < 0)
        return r;
    if (fstat(fd, &st) < 0)
        return -errno;
    if (!S_ISDIR(st.st_mode))
        return open_file(arena, source, ret);
    ret->fd = take_fd(&fd);
    return 0;
}

static bool is_special(const struct spec_mount *bind, const struct mount_options *options)
{
    return options->subdir || options->copy_symlink || options->src_nofollow ||
           options->uids.count || bind->uidMappings.count || elsewhere_is(bind->source);
}

static int open_bind(const struct stopped *stopped, const struct spec_mount *bind, bool write,
        struct stopped_place *ret, struct error *err)
{
    struct arena *arena = stopped->engine->arena;
    const char *bundle = stopped->sandbox->meta.bundle;
    const char *source = bind->source[0] == '/' || !bundle ? bind->source
                                                           : path_join(arena, bundle, bind->source);
    struct mount_options options;
    struct stat st;
    int r = mount_options_read(arena, &bind->options, &options, err);

    if (r < 0)
        return r;
    if (is_special(bind, &options))
        return error_set(err, EOPNOTSUPP, "%s, at %s, is mounted while the sandbox runs alone",
                source, bind->destination);
    if (write && ((options.set | options.rec_set) & MOUNT_ATTR_RDONLY))
        return error_set(
                err, EROFS, "%s, at %s, is read-only in the sandbox", source, bind->destination);
    if (write && stat(source, &st) == 0 && !S_ISDIR(st.st_mode))
        return error_set(err, EBUSY,
                "%s is a file that is mounted, which cannot be replaced: copy to %s of this host",
                bind->destination, source);
    ret->own_ids = options.idmap || options.ridmap || stopped->sandbox->meta.idmap_root;
    r = open_source(arena, source, &options, ret);
    return r < 0 ? error_sys(err, -r, "open %s, which is mounted at %s", source, bind->destination)
                 : 1;
}

int stopped_open(const struct stopped *stopped, const char *path, bool write,
        struct stopped_place *ret, struct error *err)
{
    const struct sandbox_volume *use = find_volume(stopped, path);
    const char *place = NULL;
    const struct spec_mount *bind = find_bind(stopped, path, &place);

    if (bind && (!use || strlen(place) > strlen(use->destination))) {
        ret->path = below(path, place);
        return open_bind(stopped, bind, write, ret, err);
    }
    if (!use)
        return 0;
    ret->path = below(path, use->destination);
    ret->own_ids = stopped->sandbox->meta.idmap_root;
    int r = volumes_open(stopped->engine, use, write, &ret->fd, err);
    return r < 0 ? r : 1;
}

/* ---- the way there --------------------------------------------------------------------------- */

/* What a link leads to: 1, and its target; 0: it is none, or not there. */
static int read_link(struct walk *walk, const char *path, const char **ret, struct error *err)
{
    struct stopped_place place = {.fd = -1, .path = path};
    char target[PATH_MAX];
    struct stat st;
    int r = stopped_open(walk->stopped, path, false, &place, err);
    _cleanup_close_ int mounted = place.fd;

    if (r < 0)
        return r;
    _cleanup_close_ int node = inroot_open(
            r > 0 ? mounted : walk->root_fd, place.path, INROOT_MUST_EXIST, INROOT_NO_LAST, NULL);
    if (node < 0 || fstat(node, &st) < 0 || !S_ISLNK(st.st_mode))
        return 0;
    ssize_t length = readlinkat(node, "", target, sizeof(target) - 1);
    if (length < 0)
        return error_sys(err, errno, "read the link %s", path);
    target[length] = '\0';
    *ret = arena_strdup(walk->arena, target);
    return 1;
}

/* Takes the next part off the rest; NULL: there is none. */
static const char *next_part(struct walk *walk)
{
    const char *start = walk->rest + strspn(walk->rest, "/");
    size_t length = strcspn(start, "/");

    walk->rest = start + length;
    return length ? arena_strndup(walk->arena, start, length) : NULL;
}

static bool is_last(const struct walk *walk)
{
    return walk->rest[strspn(walk->rest, "/")] == '\0';
}

static int take_part(struct walk *walk, const char *part, bool last, struct error *err)
{
    struct arena *arena = walk->arena;
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

int stopped_path(const struct stopped *stopped, const char *path, bool last, const char **ret,
        struct error *err)
{
    _cleanup_close_ int root = -1;
    struct arena *arena = stopped->engine->arena;
    struct walk walk = {.stopped = stopped, .arena = arena, .done = "", .rest = path};
    const char *part;
    bool slash = str_ends(path, "/") || str_ends(path, "/.");
    int r = engine_root_open_of(stopped->engine, stopped->sandbox, &root, err);

    walk.root_fd = root;
    while (r == 0 && (part = next_part(&walk)))
        r = take_part(&walk, part, last || slash, err);
    if (r == 0)
        *ret = arena_printf(arena, "%s%s", walk.done, slash || !*walk.done ? "/" : "");
    return r;
}
