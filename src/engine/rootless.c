#include "engine/rootless.h"

#include <fcntl.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/str.h"
#include "ns/idmap.h"
#include "security/passwd.h"

/* The user's name, for subuid(5); NULL when /etc/passwd has none. */
static const char *own_name(struct arena *arena, uid_t uid)
{
    struct passwd_user user;
    char text[16];
    _cleanup_close_ int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);

    snprintf(text, sizeof(text), "%u", uid);
    if (root < 0 || passwd_lookup(root, text, arena, &user, NULL) < 0)
        return NULL;
    return user.name;
}

static void convert(struct arena *arena, const struct id_maps *maps, struct spec_id_mappings *ret)
{
    ret->items = arena_new_array(arena, struct spec_id_mapping, maps->count);
    ret->count = maps->count;
    for (size_t i = 0; i < maps->count; i++)
        ret->items[i] = (struct spec_id_mapping){
                maps->items[i].inside, maps->items[i].outside, maps->items[i].count};
}

/* Root of a user namespace hands its own ids on, one to one. */
static int own_map(struct arena *arena, const char *path, struct spec_id_mappings *ret)
{
    _cleanup_buf_ struct buf text = {0};
    struct strv lines = {0};
    const char *line;

    if (io_read_file_at(AT_FDCWD, path, &text) < 0)
        return -EIO;
    strv_split(arena, &lines, buf_text(&text), '\n');
    ret->items = arena_new_array(arena, struct spec_id_mapping, lines.count);
    strv_foreach (line, &lines) {
        struct spec_id_mapping *item = &ret->items[ret->count];
        if (sscanf(line, "%u %*u %u", &item->containerID, &item->size) == 2) {
            item->hostID = item->containerID;
            ret->count++;
        }
    }
    return ret->count ? 0 : -EIO;
}

static int user_maps(struct arena *arena, const struct container_host *host, const char *file,
        uint32_t own, struct spec_id_mappings *ret, struct error *err)
{
    struct id_ranges ranges = {0};
    struct id_maps maps;

    if (host->id_helpers) {
        int r = idmap_load_subids(arena, file, own_name(arena, host->uid), host->uid, &ranges, err);
        if (r < 0)
            return r;
    }
    idmap_rootless(arena, own, &ranges, &maps);
    convert(arena, &maps, ret);
    return 0;
}

static bool has_gid(const struct spec_id_mappings *maps, uint32_t gid)
{
    for (size_t i = 0; i < maps->count; i++)
        if (gid >= maps->items[i].containerID &&
                gid - maps->items[i].containerID < maps->items[i].size)
            return true;
    return false;
}

static void fit_mounts(struct arena *arena, struct spec *spec)
{
    for (size_t i = 0; i < spec->mounts.count; i++) {
        struct strv *options = &spec->mounts.items[i].options;
        struct strv kept = {0};
        const char *option;
        strv_foreach (option, options) {
            const char *number = str_after(option, "gid=");
            uint32_t gid;
            if (number && str_to_u32(number, &gid) == 0 && !has_gid(&spec->linux.gidMappings, gid))
                continue;
            strv_add(arena, &kept, option);
        }
        *options = kept;
    }
}

int rootless_maps(struct arena *arena, const struct container_host *host, struct spec *spec,
        struct error *err)
{
    struct spec_linux *linux_part = &spec->linux;
    int r;

    if (host->uid == 0) {
        r = own_map(arena, "/proc/self/uid_map", &linux_part->uidMappings);
        if (r == 0)
            r = own_map(arena, "/proc/self/gid_map", &linux_part->gidMappings);
        if (r < 0)
            return error_sys(err, -r, "read this user namespace's maps");
    } else {
        r = user_maps(arena, host, "/etc/subuid", host->uid, &linux_part->uidMappings, err);
        if (r == 0)
            r = user_maps(arena, host, "/etc/subgid", host->gid, &linux_part->gidMappings, err);
        if (r < 0)
            return r;
    }
    fit_mounts(arena, spec);
    return 0;
}
