#include "engine/prepare.h"

#include <unistd.h>

#include "base/str.h"
#include "engine/filter.h"
#include "engine/idrange.h"
#include "engine/joins.h"
#include "engine/network.h"
#include "engine/rename.h"
#include "engine/root.h"
#include "engine/rootless.h"
#include "engine/vm_mounts.h"
#include "engine/volumes.h"
#include "rootfs/elsewhere.h"
#include "spec/check.h"

static int look_up_user(struct engine *engine, struct engine_run *run, struct error *err)
{
    struct spec *spec = run->spec;
    struct passwd_user user;

    if (!run->meta.user)
        return 0;
    int r = engine_root_user(engine, &run->meta, spec, run->meta.user, &user, err);
    if (r < 0)
        return error_prefix(err, "--user");
    struct spec_user *into = &spec->process->user;
    into->uid = user.uid;
    into->gid = user.gid;
    if (!into->additionalGids.count) {
        into->additionalGids.items = user.additional_gids.items;
        into->additionalGids.count = user.additional_gids.count;
    }
    return 0;
}

static void map_range(struct arena *arena, struct spec_id_mappings *maps, uint32_t first)
{
    maps->items = arena_new(arena, struct spec_id_mapping);
    maps->items[0] = (struct spec_id_mapping){0, first, IDRANGE_SIZE};
    maps->count = 1;
}

static int give_ids(struct running *running, bool take, struct error *err)
{
    struct engine *engine = running->engine;
    struct engine_run *run = running->run;
    struct spec_linux *linux_part = &run->spec->linux;
    uint32_t first = 0;

    if (engine->host.rootless)
        return rootless_maps(engine->arena, &engine->host, run->spec, err);
    first = idrange_guess(run->meta.name);
    int r = take ? idrange_take(&engine->store, run->meta.name, &first, err) : 0;
    if (r < 0)
        return r;
    running->life.id_first = take ? first : 0;
    map_range(engine->arena, &linux_part->uidMappings, first);
    map_range(engine->arena, &linux_part->gidMappings, first);
    return 0;
}

/* Once the ids are known: what the flags made has to be a good configuration. */
static int check_spec(struct engine *engine, const struct spec *spec, struct error *err)
{
    struct record_report report = {.arena = engine->arena};

    spec_check(spec, &report);
    if (!report.faults.count)
        return 0;
    return error_set(err, EINVAL, "%s", strv_join(engine->arena, &report.faults, "\n     "));
}

static bool by_systemd(const struct engine_run *run)
{
    return str_equal(run->meta.cgroup_manager, "systemd");
}

static const char *default_cgroup(const struct engine *engine, const struct engine_run *run)
{
    const char *parent = run->meta.cgroup_parent;
    const char *name = run->meta.name;

    if (rename_left_group(engine, name))
        name = arena_printf(engine->arena, "%s-%.8s", name, run->meta.id);
    if (by_systemd(run)) /* slice:prefix:name, which becomes viv-NAME.scope */
        return arena_printf(engine->arena, "%s:viv:%s", parent ? parent : "", name);
    /* one directory in each hierarchy, not two: there may be ten of them */
    if (!parent)
        return arena_printf(engine->arena, "%sviv-%s", engine->host.rootless ? "" : "/", name);
    return arena_printf(engine->arena, "%s/%s", parent, name);
}

void running_unprepare(struct running *running)
{
    if (running->life.id_first)
        idrange_release(
                &running->engine->store, running->run->meta.name, (uint32_t)running->life.id_first);
    running->life.id_first = 0;
    sandbox_networks_give_back(running->networks, NULL);
    running->networks = NULL;
    if (running->root_made)
        engine_root_drop(running->engine, running->run->meta.id);
    running->root_made = false;
}

/* Says of a path that its owners look strange inside, since they cannot be mapped. */
static void tell_unmapped(struct running *running, const char *what, const char *path)
{
    struct arena *arena = running->engine->arena;

    if (running->run->told)
        strv_add(arena, running->run->told,
                arena_printf(arena,
                        "%s %s is on a file system that cannot be idmapped: inside, its files "
                        "belong to nobody; --userns host shows their owners",
                        what, path));
}

static void tell_memory(struct running *running)
{
    struct engine *engine = running->engine;

    if (running->run->told && running->request.layers && running->request.layers->in_memory)
        strv_add(engine->arena, running->run->told,
                arena_printf(engine->arena,
                        "the data root %s is on a file system that cannot hold what a sandbox "
                        "changes: it is kept in memory, and ends with this run; --data-root "
                        "chooses another place",
                        engine->data_root));
}

/* Layers are where the store is, which in an explanation may be still to be made, or a folder. */
static bool can_idmap_root(const struct running *running)
{
    const struct rootfs_overlay *layers = running->request.layers;
    const char *folder = running->run->meta.image_folder;

    if (!layers)
        return container_host_can_idmap(running->run->spec->root->path);
    return container_host_can_idmap(engine_root_folder(running->engine->arena, layers)) &&
           (!folder || container_host_can_idmap(folder));
}

/* Where the root cannot be shown with other owners, "/" itself at least, which is a folder of our
 * own, is made the sandbox's: its root user can make files and mount points there. */
static void give_upper(const struct running *running)
{
    const struct rootfs_overlay *layers = running->request.layers;
    const struct spec_linux *linux_part = &running->run->spec->linux;

    if (layers && layers->upper && linux_part->uidMappings.count && linux_part->gidMappings.count &&
            chown(layers->upper, linux_part->uidMappings.items[0].hostID,
                    linux_part->gidMappings.items[0].hostID) < 0)
        return; /* making the first of them will say that it may not */
}

/* With ids of its own, the sandbox sees the root and what is shared with it through them, so that
 * no owner on disk has to change. */
static void idmap_files(struct running *running, bool joined, bool take)
{
    struct engine_run *run = running->run;
    const char *root = run->spec->root->path;

    running->request.idmap_root =
            (run->meta.idmap_root || joined) && !running->engine->host.rootless;
    if (!running->request.idmap_root)
        return;
    if (!can_idmap_root(running)) {
        running->request.idmap_root = false;
        tell_unmapped(running, "the root", root);
        if (take)
            give_upper(running);
    }
    for (size_t i = 0; i < run->spec->mounts.count; i++) {
        struct spec_mount *mount = &run->spec->mounts.items[i];
        if (!spec_mount_is_bind(mount) || mount->uidMappings.count || elsewhere_is(mount->source) ||
                strv_contains(&mount->options, "idmap") || strv_contains(&mount->options, "ridmap"))
            continue;
        if (container_host_can_idmap(mount->source))
            strv_add(running->engine->arena, &mount->options, "idmap");
        else if (access(mount->source, F_OK) == 0)
            tell_unmapped(running, "the shared", mount->source);
    }
}

static void fill_request(struct running *running)
{
    struct engine *engine = running->engine;
    struct engine_run *run = running->run;

    running->request.arena = engine->arena;
    running->request.host = &engine->host;
    running->request.spec = run->spec;
    running->request.id = run->meta.name;
    running->request.bundle = run->meta.bundle;
    running->request.dir_fd = running->run_fd;
    running->request.cgroup_manager = by_systemd(run) ? CGROUP_MANAGER_SYSTEMD : CGROUP_MANAGER_FS;
    running->request.default_cgroup = default_cgroup(engine, run);
    running->request.cgroup_strict = !engine->host.rootless;
    running->request.die_with_host = running->foreground;
    running->request.console_fd = -1;
    running->request.preserve_fds = run->preserve_fds;
    running->request.unmasked_devices = run->meta.unconfined_devices;
    running->request.cgroup_delegate = run->meta.cgroup_delegate;
    if (running->networks) {
        running->request.more = sandbox_networks_steps;
        running->request.more_data = running->networks;
    }
}

/* A host name of its own is the sandbox's name, if nothing else was asked for; the workload is told
 * where it looks for it. */
static void name_host(struct engine *engine, struct engine_run *run)
{
    struct spec *spec = run->spec;
    const struct spec_namespace *names = spec_namespace_find(spec, "uts");

    if (!names || !str_empty(names->path))
        return;
    if (str_empty(spec->hostname))
        spec->hostname = run->meta.name;
    if (spec->process && !run->meta.bundle &&
            strv_find_variable(&spec->process->env, "HOSTNAME") == spec->process->env.count)
        strv_add(engine->arena, &spec->process->env,
                arena_printf(engine->arena, "HOSTNAME=%s", spec->hostname));
}

int running_prepare(struct running *running, bool take, struct error *err)
{
    struct engine *engine = running->engine;
    struct engine_run *run = running->run;
    bool joined = false;
    int r = engine_root_take(engine, &run->meta, run->spec, take, &running->request.layers,
            &running->root_made, err);

    if (r == 0)
        r = volumes_mount(engine, &run->meta, run->spec, take, err);
    if (r == 0)
        r = joins_resolve(engine, &run->meta, run->spec, &joined, err);
    name_host(engine, run);
    if (r == 0)
        r = look_up_user(engine, run, err);
    if (r == 0)
        r = engine_seccomp(engine, run->spec, run->meta.confined, &running->request.seccomp, err);
    if (r == 0 && run->meta.userns_auto && !joined)
        r = give_ids(running, take, err);
    if (r == 0 && str_equal(run->meta.isolation, "vm"))
        vm_forget_idmap(run->spec);
    if (r == 0)
        r = check_spec(engine, run->spec, err);
    if (r == 0)
        r = sandbox_networks_prepare(engine, run, take, &running->networks, err);
    if (r < 0) {
        running_unprepare(running);
        return r;
    }
    fill_request(running);
    idmap_files(running, joined, take);
    tell_memory(running);
    return 0;
}
