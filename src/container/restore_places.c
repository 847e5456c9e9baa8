#include "container/restore_places.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/path.h"
#include "base/str.h"
#include "rootfs/inroot.h"

static const char *source_of(
        const struct spec_mount *mount, const char *bundle, struct arena *arena)
{
    return *mount->source == '/' ? mount->source : path_join(arena, bundle, mount->source);
}

/* The mount that the place of mount `index` lies on; NULL: the root. */
static const struct spec_mount *mount_below(const struct spec *spec, size_t index)
{
    const char *place = spec->mounts.items[index].destination;

    while (index-- > 0)
        if (path_is_below(place, spec->mounts.items[index].destination))
            return &spec->mounts.items[index];
    return NULL;
}

static int make_place(const char *top, const char *place, bool file, struct error *err)
{
    _cleanup_close_ int root = open(top, O_PATH | O_DIRECTORY | O_CLOEXEC);

    if (root < 0)
        return error_sys(err, errno, "open %s", top);
    _cleanup_close_ int made =
            inroot_open(root, place, file ? INROOT_FILE : INROOT_DIRECTORY, INROOT_FOLLOW, err);
    return made < 0 ? made : 0;
}

int restore_make_places(const struct spec *spec, const char *root, const char *bundle,
        struct arena *arena, struct error *err)
{
    int r = 0;

    for (size_t i = 0; i < spec->mounts.count && r == 0; i++) {
        const struct spec_mount *mount = &spec->mounts.items[i], *on = mount_below(spec, i);
        const char *top = root, *place = mount->destination;
        struct stat found;
        if (on && (!spec_mount_is_bind(on) || stat(source_of(on, bundle, arena), &found) < 0 ||
                          !S_ISDIR(found.st_mode)))
            continue;
        if (on) {
            top = source_of(on, bundle, arena);
            place += strlen(on->destination);
        }
        bool file = spec_mount_is_bind(mount) &&
                    stat(source_of(mount, bundle, arena), &found) == 0 && !S_ISDIR(found.st_mode);
        r = make_place(top, place, file, err);
        if (r < 0)
            return error_prefix(err, "the place of /mounts/%zu", i);
    }
    return r;
}
