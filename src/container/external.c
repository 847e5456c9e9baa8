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

static void add_mount(struct criu_call *call, const char *place, const char *value)
{
    protobuf_add_text(
            &call->options, CRIU_EXTERNAL, arena_printf(call->arena, "mnt[%s]:%s", place, value));
}

/* Mounts of the host's files are not in the images: their places are named, and filled again with
 * what the configuration of `bundle` has; NULL: on the way out. */
static void add_binds(const struct spec *spec, const char *bundle, struct criu_call *call)
{
    for (size_t i = 0; i < spec->mounts.count; i++) {
        const struct spec_mount *mount = &spec->mounts.items[i];
        if (!spec_mount_is_bind(mount))
            continue;
        const char *source = !bundle ? mount->destination
                             : *mount->source == '/'
                                     ? mount->source
                                     : path_join(call->arena, bundle, mount->source);
        add_mount(call, mount->destination, source);
    }
}

/* So are the devices that mask files: on the way out those that are there (`pid`: the container's
 * first process), on the way in all that may be; CRIU passes over what the images do not have. */
static void add_masks(const struct spec *spec, pid_t pid, struct criu_call *call)
{
    const struct strv *masked = &spec->linux.maskedPaths;
    const char *path;

    strv_foreach (path, masked) {
        struct stat found;
        if (pid && (lstat(arena_printf(call->arena, "/proc/%d/root%s", pid, path), &found) < 0 ||
                           !S_ISCHR(found.st_mode)))
            continue;
        add_mount(call, path, pid ? path : "/dev/null");
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

void external_add_dump(const struct spec *spec, pid_t pid, struct criu_call *call)
{
    struct arena *arena = call->arena;

    add_binds(spec, NULL, call);
    add_masks(spec, pid, call);
    for (size_t i = 0; i < ARRAY_SIZE(joined); i++) {
        const char *name = short_name(joined[i].type);
        struct stat found;
        if (!joined_path(spec, joined[i].type) ||
                stat(arena_printf(arena, "/proc/%d/ns/%s", pid, name), &found) < 0)
            continue;
        protobuf_add_text(&call->options, CRIU_EXTERNAL,
                arena_printf(arena, "%s[%llu]:%s", name, (unsigned long long)found.st_ino,
                        joined[i].key));
    }
}

/* Descriptors are taken by CRIU in place of what the images call so. */
static int inherit_joined(const struct spec *spec, struct criu_call *call, struct error *err)
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
        r = criu_inherit(call, fd, joined[i].key, err);
    }
    return r;
}

int external_add_restore(const struct spec *spec, const char *bundle, const struct strv *streams,
        struct criu_call *call, struct error *err)
{
    static const char *const others[] = {"ipc", "uts"};

    add_binds(spec, bundle, call);
    add_masks(spec, 0, call);
    for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
        const char *path = joined_path(spec, others[i]);
        if (path)
            criu_add_joined(&call->options, others[i], path);
    }
    int r = inherit_joined(spec, call, err);
    for (size_t i = 0; r == 0 && i < streams->count && i < OUTSIDE_STREAMS; i++)
        if (!str_empty(streams->words[i]))
            r = criu_inherit(call, (int)i, streams->words[i], err);
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
