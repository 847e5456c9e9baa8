/* engine_exec: one more process in a running sandbox. */
#include <fcntl.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "engine/engine.h"
#include "engine/filter.h"
#include "engine/monitor.h"
#include "engine/preserved.h"
#include "engine/session.h"
#include "engine/vm_call.h"
#include "engine/vm_exec.h"
#include "engine/watcher.h"
#include "security/passwd.h"
#include "spec/check.h"

struct executing {
    struct engine *engine;
    const struct engine_exec *exec;
    struct sandbox sandbox;
    struct spec spec;
    struct container_exec_request request;
    struct streams streams;
    bool foreground;
    int report_fd; /* whom to tell that it runs; -1: nobody */
};

static int look_up_user(struct executing *executing, struct error *err)
{
    char path[64];
    struct passwd_user user;
    struct spec_user *into = &executing->spec.process->user;

    if (!executing->exec->user)
        return 0;
    snprintf(path, sizeof(path), "/proc/%d/root", executing->sandbox.container.state.pid);
    _cleanup_close_ int root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (root < 0)
        return error_sys(err, errno, "open the sandbox's root");
    int r = passwd_lookup(root, executing->exec->user, executing->engine->arena, &user, err);
    if (r < 0)
        return error_prefix(err, "--user");
    into->uid = user.uid;
    into->gid = user.gid;
    into->additionalGids.items = user.additional_gids.items;
    into->additionalGids.count = user.additional_gids.count;
    return 0;
}

static int prepare_process(struct executing *executing, struct error *err)
{
    struct arena *arena = executing->engine->arena;
    const struct engine_exec *exec = executing->exec;
    const char *variable;
    int r = spec_load_at(
            executing->sandbox.container.dir_fd, "config.json", arena, &executing->spec, NULL, err);

    if (r < 0)
        return r;
    struct spec_process *process = executing->spec.process;
    process->args = exec->args;
    process->terminal = exec->tty;
    process->consoleSize = NULL;
    if (exec->cwd)
        process->cwd = exec->cwd;
    if (exec->tty && strv_find_variable(&process->env, "TERM") == process->env.count)
        strv_add(arena, &process->env, "TERM=xterm");
    strv_foreach (variable, &exec->env) {
        strv_set_variable(arena, &process->env, variable);
    }
    if (exec->privileged && process->capabilities) {
        struct strv all = {0};
        for (unsigned i = 0; i <= executing->engine->host.last_capability; i++)
            strv_add(arena, &all, caps_name(i));
        process->capabilities->bounding = all;
        process->capabilities->permitted = all;
        process->capabilities->effective = all;
    }
    return vm_is(&executing->sandbox.container) ? 0 : look_up_user(executing, err);
}

static int prepare(struct executing *executing, struct error *err)
{
    const struct container_state *state = &executing->sandbox.container.state;
    struct spec_state *told = arena_new(executing->engine->arena, struct spec_state);

    if (executing->exec->preserve_fds && vm_is(&executing->sandbox.container))
        return error_set(err, EOPNOTSUPP,
                "--preserve-fds: a machine's processes cannot have descriptors of this host");
    if (executing->sandbox.status == SPEC_PAUSED)
        return error_set(err, EBUSY,
                "sandbox \"%s\" is paused: a new process in it would not run; viv unpause %s first",
                state->id, state->id);
    if (executing->sandbox.status != SPEC_RUNNING)
        return error_set(err, ESRCH, "sandbox \"%s\" is not running", state->id);
    int r = prepare_process(executing, err);
    if (r == 0)
        r = engine_seccomp(executing->engine, &executing->spec,
                executing->sandbox.meta.confined && !executing->exec->privileged,
                &executing->request.seccomp, err);
    if (r < 0)
        return r;
    executing->request.seccomp_config = executing->spec.linux.seccomp;
    container_state_as_spec(state, executing->sandbox.status, told);
    executing->request.arena = executing->engine->arena;
    executing->request.host = &executing->engine->host;
    executing->request.process = executing->spec.process;
    executing->request.process_at = "";
    executing->request.id = state->id;
    executing->request.init = state->pid;
    executing->request.namespaces = container_exec_kinds(state);
    executing->request.cgroup = &state->cgroup;
    executing->request.state = told;
    executing->request.console_fd = -1;
    executing->request.preserve_fds = executing->exec->preserve_fds;
    executing->request.die_with_host = !executing->exec->detach && !executing->exec->tty;
    return 0;
}

static void tell_started(void *data)
{
    const struct executing *executing = data;

    if (executing->report_fd >= 0)
        watcher_started(executing->report_fd, NULL);
}

static int live(struct executing *executing, int report_fd, int client_sock, struct error *err)
{
    const struct engine_exec *exec = executing->exec;
    bool labelled = !str_empty(executing->spec.process->selinuxLabel); /* as in run.c */
    enum streams_kind kind = exec->tty                           ? STREAMS_TERMINAL
                             : labelled && executing->foreground ? STREAMS_TEE
                                                                 : STREAMS_INHERIT;
    struct vm_exec inside = {exec->user, exec->interactive || exec->tty, exec->apply};
    struct container_making making;
    int status = 0;
    int r = streams_open(kind, exec->interactive, &executing->streams, err);

    if (r == 0)
        r = streams_swap_in(&executing->streams, err);
    if (r < 0)
        return r;
    executing->request.console_fd = executing->streams.console_peer;
    r = vm_is(&executing->sandbox.container)
                ? vm_exec(&executing->sandbox.container, &executing->request, &inside, &making, err)
                : container_exec(&executing->request, &exec->apply, &making, err);
    streams_swap_out(&executing->streams);
    preserved_close(exec->preserve_fds);
    if (r == 0)
        r = streams_settle(&executing->streams, err);
    if (r == 0) {
        struct monitor_config config = {
                .dir_fd = executing->sandbox.container.dir_fd,
                .pidfd = making.run.child_pidfd,
                .streams = &executing->streams,
                .local = executing->foreground,
                .client = client_sock,
                .signals = true,
                .timeout_ns = exec->timeout_ns,
                .at_begin = tell_started,
                .data = executing,
        };
        executing->report_fd = report_fd;
        r = monitor_run(&config, &status, err);
        plan_run_end(&making.run);
    }
    streams_close(&executing->streams);
    return r < 0 ? r : status;
}

static int live_apart(void *data, int report_fd, int client_sock, struct error *err)
{
    return live(data, report_fd, client_sock, err);
}

static int run_apart(struct executing *executing, int *ret_status, struct error *err)
{
    const struct engine_exec *exec = executing->exec;
    _cleanup_watcher_ struct watcher watcher = {-1, -1};
    int r = watcher_start(live_apart, executing, !exec->detach,
            &(struct watcher_told){executing->engine->arena, NULL}, &watcher, err);

    preserved_close(exec->preserve_fds);
    if (r < 0 || exec->detach)
        return r;
    struct session session = {.sock = watcher.sock,
            .input = exec->interactive,
            .terminal = exec->interactive,
            .detach_keys = exec->detach_keys};
    r = session_run(&session, err);
    if (r == -ECANCELED) {
        *ret_status = 0;
        return 0;
    }
    return r < 0 ? r : watcher_wait(&watcher, ret_status, err);
}

int engine_exec(
        struct engine *engine, const struct engine_exec *exec, int *ret_status, struct error *err)
{
    struct executing executing = {.engine = engine, .exec = exec};
    int r = engine_find(engine, exec->name, &executing.sandbox, err);

    if (r < 0)
        return r;
    r = prepare(&executing, err);
    if (!exec->detach && !exec->apply.watch) /* who steps may leave */
        session_hold_signals();
    if (r == 0 && (exec->detach || exec->tty)) {
        r = run_apart(&executing, ret_status, err);
    } else if (r == 0) {
        executing.foreground = true;
        r = live(&executing, -1, -1, err);
        if (r >= 0)
            *ret_status = r;
    }
    sandbox_close(&executing.sandbox);
    return r < 0 ? r : 0;
}
