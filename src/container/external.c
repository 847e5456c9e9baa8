#include "container/external.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/json.h"
#include "base/path.h"
#include "base/str.h"
#include "container/outside.h"

#define STREAMS "descriptors.json"

static bool is_bind(const struct spec_mount *mount)
{
    return str_equal(mount->type, "bind") || strv_contains(&mount->options, "bind") ||
           strv_contains(&mount->options, "rbind");
}

/* Mounts of the host's files are not in the images: their places are named, and filled again. */
static void add_binds(
        struct arena *arena, const struct spec *spec, bool restore, struct strv *words)
{
    for (size_t i = 0; i < spec->mounts.count; i++) {
        const struct spec_mount *mount = &spec->mounts.items[i];
        if (!is_bind(mount))
            continue;
        strv_add(arena, words, "--external");
        strv_add(arena, words,
                restore ? arena_printf(arena, "mnt[%s]:%s", mount->destination, mount->source)
                        : arena_printf(
                                  arena, "mnt[%s]:%s", mount->destination, mount->destination));
    }
}

/* So are the devices that mask files: on the way out those that are there (`pid`: the container's
 * first process), on the way in all that may be; CRIU passes over what the images do not have. */
static void add_masks(struct arena *arena, const struct spec *spec, pid_t pid, struct strv *words)
{
    const struct strv *masked = &spec->linux.maskedPaths;
    const char *path;

    strv_foreach (path, masked) {
        struct stat found;
        if (pid && (lstat(arena_printf(arena, "/proc/%d/root%s", pid, path), &found) < 0 ||
                           !S_ISCHR(found.st_mode)))
            continue;
        strv_add(arena, words, "--external");
        strv_add(arena, words, arena_printf(arena, "mnt[%s]:%s", path, pid ? path : "/dev/null"));
    }
}

/* CRIU keeps these out of the images when they were joined; the key is runc's. */
static const struct {
    const char *type, *key;
} joined[] = {{"network", "extRootNetNS"}, {"pid", "extRootPidNS"}};

/* The name of a kind in /proc/PID/ns, which is CRIU's too. */
static const char *short_name(const char *type)
{
    return str_equal(type, "network") ? "net" : type;
}

static const char *joined_path(const struct spec *spec, const char *type)
{
    const struct spec_namespace *found = spec_namespace_find(spec, type);

    return found && !str_empty(found->path) ? found->path : NULL;
}

void external_add_dump(struct arena *arena, const struct spec *spec, pid_t pid, struct strv *words)
{
    add_binds(arena, spec, false, words);
    add_masks(arena, spec, pid, words);
    for (size_t i = 0; i < ARRAY_SIZE(joined); i++) {
        const char *name = short_name(joined[i].type);
        struct stat found;
        if (!joined_path(spec, joined[i].type) ||
                stat(arena_printf(arena, "/proc/%d/ns/%s", pid, name), &found) < 0)
            continue;
        strv_add(arena, words, "--external");
        strv_add(arena, words,
                arena_printf(arena, "%s[%llu]:%s", name, (unsigned long long)found.st_ino,
                        joined[i].key));
    }
}

void external_add_restore(struct arena *arena, const struct spec *spec, struct strv *words)
{
    static const char *const others[] = {"ipc", "uts"};

    add_binds(arena, spec, true, words);
    add_masks(arena, spec, 0, words);
    for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
        const char *path = joined_path(spec, others[i]);
        if (!path)
            continue;
        strv_add(arena, words, "--join-ns");
        strv_add(arena, words, arena_printf(arena, "%s:%s", others[i], path));
    }
}

int external_add_inherited(struct arena *arena, const struct spec *spec, const struct strv *streams,
        struct criu_call *call, struct error *err)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < ARRAY_SIZE(joined); i++) {
        const char *path = joined_path(spec, joined[i].type);
        if (!path)
            continue;
        _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
            return error_sys(err, errno, "open the %s namespace %s that the container joins",
                    joined[i].type, path);
        r = criu_inherit(arena, call, fd, joined[i].key, err);
    }
    for (size_t i = 0; r == 0 && i < streams->count && i < OUTSIDE_STREAMS; i++)
        if (!str_empty(streams->words[i]))
            r = criu_inherit(arena, call, (int)i, streams->words[i], err);
    return r;
}

int external_save_streams(int images_fd, const struct strv *streams, struct error *err)
{
    _cleanup_json_ struct json_object *list = json_object_new_array();
    const char *name;

    strv_foreach (name, streams) {
        json_object_array_add(list, json_object_new_string(name));
    }
    const char *text = json_text(list);
    int r = io_replace_file_at(images_fd, STREAMS, text, strlen(text), 0600, false);
    return r < 0 ? error_sys(err, -r, "write " STREAMS " of the images") : 0;
}

int external_load_streams(int images_fd, struct arena *arena, struct strv *ret, struct error *err)
{
    _cleanup_json_ struct json_object *list = NULL;
    struct strv names = {0};
    int r = json_parse_file_at(images_fd, STREAMS, &list, err);

    if (r == -ENOENT)
        return 0;
    if (r < 0)
        return r;
    if (!json_object_is_type(list, json_type_array))
        return error_set(err, EINVAL, STREAMS " of the images: a list is expected");
    for (size_t i = 0; i < json_object_array_length(list) && i < OUTSIDE_STREAMS; i++) {
        struct json_object *item = json_object_array_get_idx(list, i);
        bool is_pipe = json_object_is_type(item, json_type_string) &&
                       str_starts(json_object_get_string(item), "pipe:");
        strv_add(arena, &names, is_pipe ? arena_strdup(arena, json_object_get_string(item)) : "");
    }
    *ret = names;
    return 0;
}
