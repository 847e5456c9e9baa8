#include "container/container.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/path.h"
#include "base/str.h"
#include "cgroup/group.h"
#include "container/hooks.h"
#include "ns/namespaces.h"
#include "sys/process.h"

int container_open(const struct store *store, const char *id, struct arena *arena,
        struct container *ret, struct error *err)
{
    struct container container = {.arena = arena, .store = store, .dir_fd = -1};
    int r = store_entry(store, id, &container.dir_fd, err);

    if (r < 0)
        return r;
    r = container_state_load(container.dir_fd, arena, &container.state, err);
    if (r < 0) {
        close(container.dir_fd);
        return error_prefix(err, "container \"%s\"", id);
    }
    container.state.id = arena_strdup(arena, id); /* a folder can be renamed */
    *ret = container;
    return 0;
}

void container_close(struct container *container)
{
    if (container->store)
        cleanup_close(&container->dir_fd);
}

static bool process_lives(const struct container_state *state)
{
    uint64_t start_time;

    return state->pid > 0 && sys_process_start_time(state->pid, &start_time) == 0 &&
           start_time == state->start_time;
}

int container_is_here(const struct container *container, const char *verb, struct error *err)
{
    if (!str_equal(container->state.isolation, "vm"))
        return 0;
    return error_set(err, EOPNOTSUPP,
            "cannot %s \"%s\": it is in a machine, whose kernel is another than this", verb,
            container->state.id);
}

enum spec_status container_status(const struct container *container)
{
    const struct container_state *state = &container->state;

    if (state->making && state->pid == 0)
        return SPEC_CREATING;
    if (!process_lives(state))
        return SPEC_STOPPED;
    if (cgroup_is_frozen(&state->cgroup) > 0)
        return SPEC_PAUSED;
    return container_gate_is_closed(container->dir_fd) ? SPEC_CREATED : SPEC_RUNNING;
}

int container_glance(const struct store *store, const char *id, bool annotations,
        struct arena *arena, struct spec_state *ret)
{
    _cleanup_container_ struct container container = {0};
    struct container_state *state = &container.state;
    int r = container_state_glance(store->fd, id, arena, state);

    if (r < 0 || (r == 0 && annotations)) {
        r = container_open(store, id, arena, &container, NULL);
        if (r == 0)
            container_state_as_spec(state, container_status(&container), ret);
        return r;
    }
    enum spec_status status = SPEC_RUNNING;
    if (!process_lives(state))
        status = SPEC_STOPPED;
    else if (cgroup_is_frozen(&state->cgroup) > 0)
        status = SPEC_PAUSED;
    else if (container_gate_is_closed_in(store->fd, id))
        status = SPEC_CREATED;
    container_state_as_spec(state, status, ret);
    return 0;
}

/* Kills the first process, in whatever state it is, and waits until it has ended. */
static int end_process(const struct container_state *state, struct error *err)
{
    _cleanup_close_ int pidfd = process_lives(state) ? sys_pidfd_open(state->pid, 0) : -1;

    if (pidfd < 0)
        return 0;
    sys_pidfd_send_signal(pidfd, SIGKILL);
    if (cgroup_is_frozen(&state->cgroup) > 0)
        cgroup_kill(&state->cgroup, SIGKILL, NULL);
    struct pollfd ended = {.fd = pidfd, .events = POLLIN};
    int r;
    do
        r = poll(&ended, 1, CONTAINER_PATIENCE_MS);
    while (r < 0 && errno == EINTR);
    if (r > 0)
        return 0;
    return error_set(err, EBUSY,
            "the container's process %d did not end within %d s of SIGKILL: it waits in the "
            "kernel, "
            "see /proc/%d/stack",
            state->pid, CONTAINER_PATIENCE_MS / 1000, state->pid);
}

/* ---- hooks after the plan ------------------------------------------------------------------ */

/* All of them. A failure is a warning, and what stops no other hook and nothing else. */
static void run_poststop(struct container *container)
{
    const struct spec_hook_list *hooks = &container->state.poststop;
    struct spec_state told;

    container_state_as_spec(&container->state, SPEC_STOPPED, &told);
    for (size_t i = 0; i < hooks->count; i++) {
        struct error err = ERROR_NONE;
        if (container_hook_run(&hooks->items[i], &told, container->state.bundle, &err) < 0)
            strv_add(container->arena, &container->warnings,
                    arena_printf(container->arena, "poststop: %s", err.text));
    }
}

/* Up to the first that fails, which ends the container (runtime.md#lifecycle, step 9). */
int container_poststart(const struct container *container, struct error *err)
{
    const struct spec_hook_list *hooks = &container->state.poststart;
    struct spec_state told;
    int r = 0;

    container_state_as_spec(&container->state, SPEC_RUNNING, &told);
    for (size_t i = 0; i < hooks->count && r == 0; i++)
        r = container_hook_run(&hooks->items[i], &told, container->state.bundle, err);
    if (r == 0)
        return 0;
    end_process(&container->state, NULL);
    cgroup_kill(&container->state.cgroup, SIGKILL, NULL);
    return error_prefix(err, "poststart");
}

/* ---- making ------------------------------------------------------------------------------ */

static const char *owner_name(struct arena *arena)
{
    uid_t uid = geteuid();

    return uid == 0 ? "root" : arena_printf(arena, "%u", uid);
}

/* The kinds that are not the host's. */
static uint64_t kinds_of(const struct spec *spec)
{
    uint64_t flags = 0;

    for (size_t i = 0; i < spec->linux.namespaces.count; i++) {
        int kind = ns_kind_from_name(spec->linux.namespaces.items[i].type);
        if (kind >= 0)
            flags |= ns_kinds[kind].flag;
    }
    return flags;
}

static void start_state(struct container_request *request, struct container_state *state)
{
    const struct spec *spec = request->spec;
    struct arena *arena = request->arena;
    const struct spec_namespace *pids = spec_namespace_find(spec, "pid");
    const char *root = spec->root ? spec->root->path : "/";

    *state = (struct container_state){
            .ociVersion = spec->ociVersion,
            .id = request->id,
            .bundle = request->bundle,
            .rootfs = root[0] == '/' || !request->bundle ? root
                                                         : path_join(arena, request->bundle, root),
            .created = container_now_text(arena),
            .owner = owner_name(arena),
            .annotations = spec->annotations,
            .making = true,
            .namespaces = kinds_of(spec),
            .own_pids = pids && str_empty(pids->path),
            .streams = request->streams,
            .poststart = spec->hooks.poststart,
            .poststop = spec->hooks.poststop,
    };
    struct spec_state *told = arena_new(arena, struct spec_state);
    container_state_as_spec(state, SPEC_CREATING, told);
    request->state = told;
}

void container_plan_begin(struct container_request *request, struct container_making *ret)
{
    *ret = (struct container_making){.plan = {.arena = request->arena}};
    start_state(request, &ret->state);
}

int container_plan(
        struct container_request *request, struct container_making *ret, struct error *err)
{
    container_plan_begin(request, ret);
    int r = container_build(request, &ret->plan, &ret->built, err);
    ret->state.cgroup = ret->built.cgroup.saved;
    ret->state.resctrl = ret->built.resctrl;
    return r;
}

static int write_config(int dir_fd, const char *id, const char *text, struct error *err)
{
    int r = io_replace_file_at(dir_fd, "config.json", text, strlen(text), 0600, false);

    return r < 0 ? error_sys_hint(err, -r, error_room(-r), "write config.json of %s", id) : 0;
}

int container_save_config(int dir_fd, const char *id, const struct spec *spec, struct error *err)
{
    _cleanup_json_ struct json_object *json = spec_write(spec);

    return write_config(dir_fd, id, json_text(json), err);
}

static int keep_config(const struct container_request *request, struct error *err)
{
    if (request->config_text)
        return write_config(request->dir_fd, request->id, request->config_text, err);
    return container_save_config(request->dir_fd, request->id, request->spec, err);
}

static int plan_container(void *data, struct container_request *request,
        struct container_making *ret, struct error *err)
{
    (void)data;
    return container_plan(request, ret, err);
}

int container_make_in(struct container_request *request, const struct container_apply *apply,
        struct container_making *ret, struct error *err)
{
    static const struct container_planner own = {.plan = plan_container};
    const struct container_planner *planner = apply->planner ? apply->planner : &own;
    int r = planner->plan(planner->data, request, ret, err);

    if (r == 0)
        r = container_state_save(request->dir_fd, &ret->state, err);
    if (r == 0)
        r = keep_config(request, err);
    if (r < 0)
        return r;
    plan_run_init(&ret->run, &ret->plan);
    if (ret->built.console_slot >= 0 && request->console_fd >= 0)
        ret->run.fds[ret->built.console_slot] = fcntl(request->console_fd, F_DUPFD_CLOEXEC, 3);
    ret->run.watch = apply->watch;
    ret->run.faults = apply->faults;
    ret->run.before = apply->before;
    ret->run.slow_fd = apply->slow_fd;
    if (planner->prepare)
        r = planner->prepare(planner->data, &ret->run, err);
    if (r == 0)
        r = plan_apply(&ret->run, err);
    if (r < 0) {
        plan_run_end(&ret->run);
        return r;
    }
    ret->state.making = false;
    ret->state.pid = ret->run.child;
    sys_process_start_time(ret->run.child, &ret->state.start_time);
    r = container_state_save(request->dir_fd, &ret->state, err);
    if (r < 0) {
        plan_undo(&ret->run, NULL);
        plan_run_end(&ret->run);
    }
    return r;
}

int container_make(const struct store *store, struct container_request *request,
        const struct container_apply *apply, struct container_making *ret, struct error *err)
{
    _cleanup_close_ int dir_fd = -1;
    int r = store_reserve(store, request->id, &dir_fd, err);

    if (r < 0)
        return r;
    request->dir_fd = dir_fd;
    r = container_make_in(request, apply, ret, err);
    if (r < 0) {
        store_remove(store, request->id, NULL);
        return r;
    }
    store_settle(store, request->id);
    if (request->wait_for_start)
        return 0;
    struct container made = {request->arena, store, dir_fd, ret->state, {0}};
    r = container_poststart(&made, err);
    if (r < 0) {
        container_delete(&made, true, NULL);
        plan_run_end(&ret->run);
    }
    return r;
}

/* In runc's words. */
static int check_startable(const struct container *container, struct error *err)
{
    const char *id = container->state.id;
    enum spec_status status = container_status(container);

    if (status == SPEC_CREATED)
        return 0;
    if (status == SPEC_STOPPED)
        return error_set(err, ESRCH, "cannot start a container that has stopped: \"%s\"", id);
    if (status == SPEC_RUNNING)
        return error_set(err, EBUSY, "cannot start an already running container: \"%s\"", id);
    return error_set(err, EBUSY, "cannot start a container in the %s state: \"%s\"",
            spec_status_name(status), id);
}

int container_start(struct container *container, struct error *err)
{
    const char *id = container->state.id;

    if (check_startable(container, err) < 0)
        return -EBUSY;
    int r = container_gate_open(container->dir_fd, err);
    if (r < 0)
        return error_prefix(err, "start container \"%s\"", id);
    return container_poststart(container, err);
}

/* ---- signals and pauses -------------------------------------------------------------------- */

static int kill_first(const struct container_state *state, int signal, struct error *err)
{
    _cleanup_close_ int pidfd = sys_pidfd_open(state->pid, 0);

    if (pidfd < 0 || !process_lives(state))
        return error_set(err, ESRCH, "container not running");
    int r = sys_pidfd_send_signal(pidfd, signal);
    return r < 0 ? error_sys(err, -r, "send signal %d to pid %d", signal, state->pid) : 0;
}

int container_kill(const struct container *container, int signal, bool all, struct error *err)
{
    const struct container_state *state = &container->state;
    bool shared = !state->own_pids && signal == SIGKILL;

    if (all || shared) {
        int r = cgroup_kill(&state->cgroup, signal, err);
        if (r < 0 || all)
            return r;
    }
    if (container_status(container) == SPEC_STOPPED)
        return shared ? 0 : error_set(err, ESRCH, "container not running");
    int r = kill_first(state, signal, err);
    if (r == 0 && signal == SIGKILL && cgroup_is_frozen(&state->cgroup) > 0)
        r = cgroup_kill(&state->cgroup, SIGKILL, err);
    return r;
}

int container_pause(const struct container *container, struct error *err)
{
    enum spec_status status = container_status(container);

    if (status != SPEC_RUNNING && status != SPEC_CREATED)
        return error_set(err, EBUSY, "container not running: \"%s\" is %s", container->state.id,
                spec_status_name(status));
    return cgroup_freeze(&container->state.cgroup, CONTAINER_PATIENCE_MS, err);
}

int container_resume(const struct container *container, struct error *err)
{
    enum spec_status status = container_status(container);

    if (status != SPEC_PAUSED)
        return error_set(err, EBUSY, "container not paused: \"%s\" is %s", container->state.id,
                spec_status_name(status));
    return cgroup_thaw(&container->state.cgroup, CONTAINER_PATIENCE_MS, err);
}

/* ---- removing ------------------------------------------------------------------------------ */

/*
 * A container that was never finished. Its maker has died, and the child ends by itself when it
 * sees that; at the gate it does not see it. While the maker lives, the container is its own.
 */
static int end_unfinished(const struct container *container, struct error *err)
{
    if (store_maker_lives(container->store, container->state.id))
        return error_set(err, EBUSY, "it is being created just now; end that process first");
    return container_gate_abandon(container->dir_fd, CONTAINER_PATIENCE_MS, err);
}

int container_delete(struct container *container, bool force, struct error *err)
{
    const struct container_state *state = &container->state;
    enum spec_status status = container_status(container);

    if (!force && status != SPEC_STOPPED && status != SPEC_CREATED && status != SPEC_CREATING)
        return error_set(err, EBUSY, "cannot delete container %s that is not stopped: %s",
                state->id, spec_status_name(status));
    int r = status == SPEC_CREATING ? end_unfinished(container, err) : end_process(state, err);
    if (r == 0)
        r = cgroup_remove(&state->cgroup, CONTAINER_PATIENCE_MS, err);
    if (r == 0)
        r = resctrl_remove(&state->resctrl, err);
    if (r < 0)
        return error_prefix(err, "delete container %s", state->id);
    r = store_remove(container->store, state->id, err);
    if (r == 0)
        run_poststop(container);
    return r;
}

static int sweep_one(const struct store *store, const char *id, struct error *err)
{
    _cleanup_arena_ struct arena arena = {0};
    _cleanup_container_ struct container container = {0};

    if (container_open(store, id, &arena, &container, NULL) < 0)
        return store_remove(store, id, err); /* killed before the state was written */
    if (!container.state.making) {
        store_settle(store, id);
        return 0;
    }
    return container_delete(&container, true, err);
}

int container_sweep(const struct store *store, struct error *err)
{
    _cleanup_arena_ struct arena arena = {0};
    struct strv ids = {0};
    const char *id;
    int r = store_list_abandoned(store, &arena, &ids);
    int result = r < 0 ? r : (int)ids.count;

    strv_foreach (id, &ids) {
        r = sweep_one(store, id, err);
        if (r < 0 && result >= 0)
            result = r;
    }
    return result;
}
