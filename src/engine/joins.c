#include "engine/joins.h"

#include <unistd.h>

#include "ns/namespaces.h"
#include "spec/defaults.h"

void namespace_set(struct arena *arena, struct spec *spec, const char *kind, const char *path)
{
    for (size_t i = 0; i < spec->linux.namespaces.count; i++) {
        struct spec_namespace *item = &spec->linux.namespaces.items[i];
        if (str_equal(item->type, kind)) {
            item->path = path;
            return;
        }
    }
    spec_add_namespace(arena, spec, kind, path);
}

/* POSIX shared memory is files in /dev/shm: who shares the namespace shares these too. A sandbox
 * that has none (--ipc none) has none to share. */
static void share_memory(struct arena *arena, struct spec *spec, int pid)
{
    const char *source = arena_printf(arena, "/proc/%d/root/dev/shm", pid);

    if (access(source, F_OK) < 0)
        return;
    for (size_t i = 0; i < spec->mounts.count; i++) {
        struct spec_mount *mount = &spec->mounts.items[i];
        if (!str_equal(mount->destination, "/dev/shm") || !str_equal(mount->type, "tmpfs"))
            continue;
        mount->type = "bind";
        mount->source = source;
        mount->options = (struct strv){0};
        strv_split(arena, &mount->options, "bind,nosuid,noexec,nodev", ',');
    }
}

static int join_one(struct engine *engine, const struct sandbox_join *join, struct spec *spec,
        bool *joined, struct error *err)
{
    _cleanup_sandbox_ struct sandbox other = {0};
    int kind = ns_kind_from_name(join->kind);
    int r = engine_find(engine, join->sandbox, &other, err);

    if (r < 0)
        return r;
    if (other.status == SPEC_STOPPED || other.container.state.pid <= 0)
        return error_set(err, ESRCH,
                "cannot join the %s namespace of sandbox \"%s\": it is not running", join->kind,
                join->sandbox);
    r = container_is_here(&other.container, "join a namespace of", err);
    if (r < 0)
        return r;
    int pid = other.container.state.pid;
    const char *file = kind < 0 ? join->kind : ns_kinds[kind].file;
    namespace_set(engine->arena, spec, join->kind,
            arena_printf(engine->arena, "/proc/%d/ns/%s", pid, file));
    if (kind == NS_IPC)
        share_memory(engine->arena, spec, pid);
    if (kind == NS_USER) {
        *joined = true;
    } else if (other.container.state.namespaces & ns_kinds[NS_USER].flag) {
        namespace_set(engine->arena, spec, ns_kinds[NS_USER].oci,
                arena_printf(engine->arena, "/proc/%d/ns/user", pid));
        *joined = true;
    }
    return 0;
}

int joins_resolve(struct engine *engine, const struct sandbox_meta *meta, struct spec *spec,
        bool *ret_joined, struct error *err)
{
    bool joined = false;

    for (size_t i = 0; i < meta->joins.count; i++) {
        int r = join_one(engine, &meta->joins.items[i], spec, &joined, err);
        if (r < 0)
            return r;
    }
    *ret_joined = joined;
    return 0;
}
