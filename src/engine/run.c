/* engine_run and engine_plan: from a configuration to a watched workload. */
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/path.h"
#include "base/str.h"
#include "cgroup/group.h"
#include "engine/engine.h"
#include "engine/filter.h"
#include "engine/idrange.h"
#include "engine/monitor.h"
#include "engine/names.h"
#include "engine/rootless.h"
#include "engine/session.h"
#include "engine/watcher.h"
#include "security/passwd.h"
#include "spec/check.h"

/* What a run is made of, on its way from the request to the end of the workload. */
struct running {
    struct engine *engine;
    struct engine_run *run;
    struct container_request request;
    struct container_making making;
    struct streams streams;
    bool foreground; /* in the command's own process */
    int dir_fd;
};

/* ---- the configuration ----------------------------------------------------------------------- */

static int look_up_user(struct engine *engine, struct engine_run *run, struct error *err)
{
    struct spec *spec = run->spec;
    struct passwd_user user;
    const char *path = spec->root->path;

    if (!run->user)
        return 0;
    if (path[0] != '/' && run->bundle)
        path = path_join(engine->arena, run->bundle, path);
    _cleanup_close_ int root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (root < 0)
        return error_sys(err, errno, "open the root file system %s", path);
    int r = passwd_lookup(root, run->user, engine->arena, &user, err);
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

static int give_ids(struct engine *engine, struct engine_run *run, bool take, struct error *err)
{
    struct spec_linux *linux_part = &run->spec->linux;
    uint32_t first = 0;

    if (!run->userns_auto)
        return 0;
    if (engine->host.rootless)
        return rootless_maps(engine->arena, &engine->host, run->spec, err);
    first = idrange_guess(run->meta.name);
    int r = take ? idrange_take(&engine->store, run->meta.name, &first, err) : 0;
    if (r < 0)
        return r;
    run->meta.id_first = take ? first : 0;
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

static const char *default_cgroup(const struct engine *engine, const struct engine_run *run)
{
    const char *parent = run->cgroup_parent;

    /* one directory in each hierarchy, not two: there may be ten of them */
    if (!parent)
        return arena_printf(
                engine->arena, "%sviv-%s", engine->host.rootless ? "" : "/", run->meta.name);
    return arena_printf(engine->arena, "%s/%s", parent, run->meta.name);
}

/* Drops what `prepare` has taken, when there is no sandbox to hold it. */
static void unprepare(struct running *running)
{
    if (running->run->meta.id_first)
        idrange_release(&running->engine->store, (uint32_t)running->run->meta.id_first);
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

static bool is_bind(const struct spec_mount *mount)
{
    return str_equal(mount->type, "bind") || strv_contains(&mount->options, "bind") ||
           strv_contains(&mount->options, "rbind");
}

/* With ids of its own, the sandbox sees the root and what is shared with it through them, so that
 * no owner on disk has to change. */
static void idmap_files(struct running *running)
{
    struct engine_run *run = running->run;
    const char *root = run->spec->root->path;

    running->request.idmap_root = run->idmap_root && !running->engine->host.rootless;
    if (!running->request.idmap_root)
        return;
    if (!container_host_can_idmap(root)) {
        running->request.idmap_root = false;
        tell_unmapped(running, "the root", root);
    }
    for (size_t i = 0; i < run->spec->mounts.count; i++) {
        struct spec_mount *mount = &run->spec->mounts.items[i];
        if (!is_bind(mount) || mount->uidMappings.count ||
                strv_contains(&mount->options, "idmap") || strv_contains(&mount->options, "ridmap"))
            continue;
        if (container_host_can_idmap(mount->source))
            strv_add(running->engine->arena, &mount->options, "idmap");
        else if (access(mount->source, F_OK) == 0)
            tell_unmapped(running, "the shared", mount->source);
    }
}

static int prepare(struct running *running, bool take, struct error *err)
{
    struct engine *engine = running->engine;
    struct engine_run *run = running->run;

    if (!run->meta.name)
        run->meta.name = sandbox_name_new(engine->arena, &engine->store);
    int r = store_check_id(run->meta.name, err);
    if (r == 0 && take && faccessat(engine->store.fd, run->meta.name, F_OK, 0) == 0)
        return error_set(err, EEXIST,
                "--name %s: there is a sandbox of that name already; choose another name, or take "
                "that one away with `viv rm -f %s`",
                run->meta.name, run->meta.name);
    const struct spec_namespace *names = spec_namespace_find(run->spec, "uts");
    if (names && str_empty(names->path) && str_empty(run->spec->hostname))
        run->spec->hostname = run->meta.name;
    if (r == 0)
        r = look_up_user(engine, run, err);
    if (r == 0)
        r = engine_seccomp(engine, run->spec, run->meta.confined, &running->request.seccomp, err);
    if (r == 0)
        r = give_ids(engine, run, take, err);
    if (r == 0)
        r = check_spec(engine, run->spec, err);
    if (r < 0) {
        unprepare(running);
        return r;
    }
    running->request.arena = engine->arena;
    running->request.host = &engine->host;
    running->request.spec = run->spec;
    running->request.id = run->meta.name;
    running->request.bundle = run->bundle;
    running->request.dir_fd = -1;
    running->request.cgroup_manager = CGROUP_MANAGER_FS;
    running->request.default_cgroup = default_cgroup(engine, run);
    running->request.cgroup_strict = !engine->host.rootless;
    idmap_files(running);
    running->request.die_with_host = !run->detach && !run->meta.tty;
    running->request.console_fd = -1;
    running->request.preserve_fds = run->preserve_fds;
    running->request.unmasked_devices = run->unconfined_devices;
    running->request.cgroup_delegate = run->cgroup_delegate;
    return 0;
}

/* One line for all limits that could not be set; the directories that could not be made for them
 * say nothing more. */
static void tell_refusals(struct running *running)
{
    struct arena *arena = running->engine->arena;
    const struct cgroup_refused *refused = &running->making.built.cgroup.refused;
    const struct cgroup_refusal *first = NULL;
    struct strv limits = {0};
    const char *warning;

    strv_foreach (warning, &running->making.built.warnings) {
        strv_add(arena, running->run->told, warning);
    }
    for (size_t i = 0; i < refused->count; i++) {
        const char *limit = str_after(refused->items[i].what, "/linux/resources/");
        if (limit && !first)
            first = &refused->items[i];
        if (limit)
            strv_add(arena, &limits, limit);
    }
    if (first)
        strv_add(arena, running->run->told,
                arena_printf(arena, "not limited as asked (%s): %s; %s",
                        strv_join(arena, &limits, ", "), first->why, first->remedy));
}

/* ---- the workload's life --------------------------------------------------------------------- */

static int make(struct running *running, struct error *err)
{
    struct engine_run *run = running->run;
    struct engine *engine = running->engine;
    int r = streams_swap_in(&running->streams, err);

    if (r < 0)
        return r;
    running->request.console_fd = running->streams.console_peer;
    r = container_make(&engine->store, &running->request, &run->apply, &running->making, err);
    streams_swap_out(&running->streams);
    if (r < 0)
        return r;
    tell_refusals(running);
    run->meta.monitor = getpid();
    run->meta.created = running->making.state.created;
    r = store_entry(&engine->store, run->meta.name, &running->dir_fd, err);
    if (r == 0)
        flock(running->dir_fd, LOCK_EX); /* engine_wait() waits for its end */
    if (r == 0)
        r = sandbox_meta_save(running->dir_fd, &run->meta, err);
    if (r == 0)
        r = streams_settle(&running->streams, err);
    if (r < 0)
        plan_undo(&running->making.run, NULL);
    return r;
}

/* The workload has ended: its groups and ids are given back, how it ended is written down. */
static int finish(struct running *running, int status, struct error *err)
{
    struct engine *engine = running->engine;
    const struct sandbox_meta *meta = &running->run->meta;
    const struct cgroup_saved *cgroup = &running->making.state.cgroup;
    struct sandbox_exit end = {.code = status, .finished = container_now_text(engine->arena)};
    uint64_t kills = 0;

    if (cgroup_oom_kills(cgroup, &kills) == 0 && kills > 0)
        end.oom_killed = true;
    if (end.oom_killed && running->foreground)
        strv_add(engine->arena, running->run->told,
                "the workload ran out of memory and the kernel killed it; raise the limit with "
                "--memory");
    int r;
    if (meta->remove) {
        struct container container = {
                engine->arena, &engine->store, running->dir_fd, running->making.state};
        r = container_delete(&container, true, err);
    } else {
        r = cgroup_remove(cgroup, CONTAINER_PATIENCE_MS, err);
        sandbox_exit_save(running->dir_fd, &end, NULL);
    }
    if (r == 0 && meta->id_first)
        idrange_release(&engine->store, (uint32_t)meta->id_first);
    plan_run_end(&running->making.run);
    return r < 0 ? r : status;
}

static int watch(struct running *running, int client_sock, struct error *err)
{
    const struct sandbox_meta *meta = &running->run->meta;
    struct monitor_config config = {
            .dir_fd = running->dir_fd,
            .pidfd = running->making.run.child_pidfd,
            .streams = &running->streams,
            .local = running->foreground,
            .log = running->streams.output >= 0 && !str_equal(meta->log, "none"),
            .listen = running->streams.output >= 0,
            .client = client_sock,
            .signals = true,
    };
    int status = 0;
    int r = monitor_run(&config, &status, err);

    if (r < 0) {
        plan_undo(&running->making.run, NULL);
        return r;
    }
    return finish(running, status, err);
}

static enum streams_kind kind_of(const struct running *running)
{
    if (running->run->meta.tty)
        return STREAMS_TERMINAL;
    if (!running->foreground)
        return STREAMS_PIPES;
    return running->run->meta.remove ? STREAMS_INHERIT : STREAMS_TEE;
}

/* The whole of it in this process; the workload's status. */
static int live(struct running *running, int report_fd, int client_sock, struct error *err)
{
    int r = streams_open(kind_of(running), running->run->meta.interactive, &running->streams, err);

    if (r < 0)
        return r;
    r = make(running, err);
    if (r < 0) {
        unprepare(running);
    } else {
        if (report_fd >= 0)
            watcher_started(report_fd);
        r = watch(running, client_sock, err);
    }
    streams_close(&running->streams);
    cleanup_close(&running->dir_fd);
    return r;
}

static int live_apart(void *data, int report_fd, int client_sock, struct error *err)
{
    return live(data, report_fd, client_sock, err);
}

int engine_run(struct engine *engine, struct engine_run *run, int *ret_status, struct error *err)
{
    struct running running = {.engine = engine, .run = run, .dir_fd = -1};
    _cleanup_watcher_ struct watcher watcher = {-1, -1};

    int r = prepare(&running, true, err);
    if (r < 0)
        return r;
    if (!run->detach && !run->meta.tty) {
        running.foreground = true;
        r = live(&running, -1, -1, err);
        if (r >= 0)
            *ret_status = r;
        return r < 0 ? r : 0;
    }
    r = watcher_start(live_apart, &running, !run->detach, &watcher, err);
    if (r < 0 || run->detach)
        return r;
    struct session session = {
            watcher.sock, run->meta.interactive, run->meta.interactive, run->detach_keys};
    r = session_run(&session, err);
    if (r == -ECANCELED) {
        *ret_status = 0; /* detached: it goes on without us */
        return 0;
    }
    return r < 0 ? r : watcher_wait(&watcher, ret_status, err);
}

int engine_plan(struct engine *engine, struct engine_run *run, struct container_making *ret,
        struct error *err)
{
    struct running running = {.engine = engine, .run = run, .dir_fd = -1};
    int r = prepare(&running, false, err);

    if (run->meta.tty)
        running.request.console_fd = 0; /* there will be one */
    return r < 0 ? r : container_plan(&running.request, ret, err);
}
