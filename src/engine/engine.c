#include "engine/engine.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/path.h"
#include "base/str.h"
#include "cgroup/group.h"
#include "engine/attach.h"
#include "engine/idrange.h"
#include "engine/images.h"
#include "engine/session.h"
#include "spec/signals.h"
#include "sys/process.h"

#define STOP_TIMEOUT_S 10

const char *engine_data_root(struct arena *arena)
{
    const char *own = getenv("VIV_DATA_ROOT");
    const char *xdg = getenv("XDG_DATA_HOME");
    const char *home = getenv("HOME");

    if (!str_empty(own))
        return own;
    if (geteuid() == 0)
        return "/var/lib/viv";
    if (!str_empty(xdg))
        return path_join(arena, xdg, "viv");
    return path_join(arena, str_empty(home) ? "/" : home, ".local/share/viv");
}

int engine_open(
        struct arena *arena, const struct engine_root *root, struct engine *ret, struct error *err)
{
    struct engine engine = {.arena = arena};
    const char *state = root ? root->state : NULL;

    if (!state)
        state = store_default_root(arena, "viv");
    engine.data_root = root && root->data ? root->data : engine_data_root(arena);
    int r = store_open(arena, state, &engine.store, err);
    if (r < 0)
        return r;
    engine.seccomp_cache = path_join(arena, state, ".seccomp");
    r = container_host_detect(arena, &engine.host, err);
    if (r == 0)
        r = container_sweep(&engine.store, err);
    if (r > 0)
        idrange_sweep(&engine.store);
    if (r < 0) {
        store_close(&engine.store);
        return r;
    }
    *ret = engine;
    return 0;
}

void engine_close(struct engine *engine)
{
    engine_images_close(engine);
    if (engine->arena)
        store_close(&engine->store);
}

/* ---- finding --------------------------------------------------------------------------------- */

static int complete_name(
        struct engine *engine, const char *name, const char **ret, struct error *err)
{
    struct strv all = {0};
    const char *found = NULL;
    const char *id;
    int r = store_list(&engine->store, engine->arena, &all, err);

    if (r < 0)
        return r;
    strv_foreach (id, &all) {
        if (str_equal(id, name)) {
            *ret = name;
            return 0;
        }
        if (str_starts(id, name) && found)
            return error_set(err, EEXIST,
                    "\"%s\" is the start of several sandboxes (\"%s\", \"%s\" …): write more of it",
                    name, found, id);
        if (str_starts(id, name))
            found = id;
    }
    if (!found)
        return error_set(err, ENOENT, "no such sandbox: \"%s\"; `viv ps -a` lists them", name);
    *ret = found;
    return 0;
}

/*
 * The workload has ended and its monitor was killed before it could tidy up: gives back what the
 * sandbox holds, and takes away one that was run with --rm. 1 when it is gone.
 */
static int bury(struct engine *engine, struct sandbox *sandbox)
{
    if (flock(sandbox->container.dir_fd, LOCK_EX | LOCK_NB) < 0)
        return 0; /* a monitor is at it */
    bool gone = sandbox->meta.remove && container_delete(&sandbox->container, true, NULL) == 0;
    if (!gone)
        cgroup_remove(&sandbox->container.state.cgroup, CONTAINER_PATIENCE_MS, NULL);
    if (sandbox->meta.id_first)
        idrange_release(&engine->store, (uint32_t)sandbox->meta.id_first);
    flock(sandbox->container.dir_fd, LOCK_UN);
    return gone;
}

int engine_find(struct engine *engine, const char *name, struct sandbox *ret, struct error *err)
{
    struct sandbox sandbox = {0};
    int r = store_check_id(name, err);

    if (r < 0)
        return r;
    if (container_open(&engine->store, name, engine->arena, &sandbox.container, NULL) < 0) {
        r = complete_name(engine, name, &name, err);
        if (r == 0)
            r = container_open(&engine->store, name, engine->arena, &sandbox.container, err);
        if (r < 0)
            return r;
    }
    int dir_fd = sandbox.container.dir_fd;
    sandbox.meta.name = sandbox.container.state.id;
    sandbox_meta_load(dir_fd, engine->arena, &sandbox.meta, NULL);
    sandbox.status = container_status(&sandbox.container);
    sandbox.ended = sandbox_exit_load(dir_fd, engine->arena, &sandbox.end, NULL) == 0;
    if (sandbox.status == SPEC_STOPPED && !sandbox.ended && bury(engine, &sandbox) > 0) {
        sandbox_close(&sandbox);
        return error_set(err, ENOENT, "no such sandbox: \"%s\"; `viv ps -a` lists them", name);
    }
    *ret = sandbox;
    return 0;
}

void sandbox_close(struct sandbox *sandbox)
{
    container_close(&sandbox->container);
}

int engine_list(struct engine *engine, struct strv *ret, struct error *err)
{
    return store_list(&engine->store, engine->arena, ret, err);
}

/* ---- waiting and ending ---------------------------------------------------------------------- */

int engine_wait(struct engine *engine, const char *name, int *ret_status, struct error *err)
{
    _cleanup_sandbox_ struct sandbox sandbox = {0};
    int r = engine_find(engine, name, &sandbox, err);

    if (r < 0)
        return r;
    /* the monitor holds this lock as long as it lives; with --rm the folder is gone then, but the
     * descriptor still leads to what was in it */
    while (flock(sandbox.container.dir_fd, LOCK_SH) < 0)
        if (errno != EINTR)
            return error_sys(err, errno, "wait for sandbox \"%s\"", name);
    struct sandbox_exit end;
    r = sandbox_exit_load(sandbox.container.dir_fd, engine->arena, &end, NULL);
    if (r < 0)
        return error_set(err, ECHILD,
                "sandbox \"%s\" has ended, but nobody was left to see how: its monitor was killed",
                name);
    *ret_status = end.code;
    return 0;
}

static int stop_signal(const struct sandbox *sandbox)
{
    int signal;

    if (sandbox->meta.stop_signal && signal_parse(sandbox->meta.stop_signal, &signal, NULL) == 0)
        return signal;
    return SIGTERM;
}

static bool ends_within(pid_t pid, int timeout_s)
{
    _cleanup_close_ int pidfd = sys_pidfd_open(pid, 0);
    struct pollfd ended = {.fd = pidfd, .events = POLLIN};
    int r;

    if (pidfd < 0)
        return true;
    do
        r = poll(&ended, 1, timeout_s * 1000);
    while (r < 0 && errno == EINTR);
    return r > 0;
}

int engine_stop(struct engine *engine, const char *name, int timeout_s, struct error *err)
{
    _cleanup_sandbox_ struct sandbox sandbox = {0};
    int r = engine_find(engine, name, &sandbox, err);

    if (r < 0 || sandbox.status == SPEC_STOPPED)
        return r;
    if (timeout_s < 0)
        timeout_s = sandbox.meta.stop_timeout > 0 ? sandbox.meta.stop_timeout : STOP_TIMEOUT_S;
    pid_t pid = sandbox.container.state.pid;
    if (sandbox.status == SPEC_PAUSED)
        r = container_resume(&sandbox.container, err);
    if (r == 0)
        r = container_kill(&sandbox.container, stop_signal(&sandbox), false, err);
    if (r == 0 && !ends_within(pid, timeout_s))
        r = container_kill(&sandbox.container, SIGKILL, false, err);
    if (r == -ESRCH)
        r = 0; /* it ended by itself in between */
    if (r == 0)
        flock(sandbox.container.dir_fd, LOCK_SH); /* until its monitor has tidied up */
    return r;
}

int engine_remove(struct engine *engine, const char *name, bool force, struct error *err)
{
    _cleanup_sandbox_ struct sandbox sandbox = {0};
    int r = engine_find(engine, name, &sandbox, err);

    if (r < 0)
        return r;
    if (!force && sandbox.status != SPEC_STOPPED)
        return error_set(err, EBUSY,
                "sandbox \"%s\" is %s: stop it first (viv stop %s), or use viv rm -f",
                sandbox.meta.name, spec_status_name(sandbox.status), sandbox.meta.name);
    if (sandbox.status != SPEC_STOPPED && sandbox.meta.monitor != getpid()) {
        r = container_kill(&sandbox.container, SIGKILL, false, NULL);
        if (r == 0)
            flock(sandbox.container.dir_fd, LOCK_SH);
    }
    r = container_delete(&sandbox.container, true, err);
    if (r == 0 && sandbox.meta.id_first)
        idrange_release(&engine->store, (uint32_t)sandbox.meta.id_first);
    return r;
}

int engine_attach(struct engine *engine, const char *name, bool input, const char *detach_keys,
        int *ret_status, struct error *err)
{
    _cleanup_sandbox_ struct sandbox sandbox = {0};
    _cleanup_close_ int sock = -1;
    int r = engine_find(engine, name, &sandbox, err);

    if (r < 0)
        return r;
    if (sandbox.status == SPEC_STOPPED)
        return error_set(err, ESRCH, "sandbox \"%s\" is not running", name);
    r = attach_connect(sandbox.container.dir_fd, &sock, err);
    if (r < 0)
        return r;
    struct session session = {sock, input && sandbox.meta.interactive,
            input && sandbox.meta.tty && isatty(0), detach_keys};
    r = session_run(&session, err);
    return r < 0 ? r : engine_wait(engine, name, ret_status, err);
}
