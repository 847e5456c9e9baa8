#include "engine/attached.h"

#include <unistd.h>

#include "base/cleanup.h"
#include "engine/attach.h"

struct target {
    struct engine *engine;
    const char *name;
};

/* One that has just ended, or is just made, gets none. */
static void pass_signal(void *data, int signal)
{
    const struct target *target = data;

    engine_kill(target->engine, target->name, signal, false, NULL);
}

int attached_run(struct engine *engine, const char *name, const struct session *session,
        bool signals, struct error *err)
{
    struct target target = {engine, name};
    struct session own = *session;

    if (signals && !own.terminal) {
        own.on_signal = pass_signal;
        own.data = &target;
    }
    return session_run(&own, err);
}

int engine_attach(struct engine *engine, const struct engine_attach *attach, int *ret_status,
        struct error *err)
{
    _cleanup_sandbox_ struct sandbox sandbox = {.record_fd = -1};
    _cleanup_close_ int sock = -1;
    int r = engine_find(engine, attach->name, &sandbox, err);

    if (r < 0)
        return r;
    if (!sandbox_has_run(&sandbox) || sandbox.status == SPEC_STOPPED)
        return error_set(err, ESRCH, "sandbox \"%s\" is not running", attach->name);
    r = attach_connect(sandbox.container.dir_fd, &sock, err);
    if (r < 0)
        return r;
    struct session session = {.sock = sock,
            .input = attach->input && sandbox.meta.interactive,
            .terminal = attach->input && sandbox.meta.tty && isatty(0),
            .detach_keys = attach->detach_keys};
    r = attached_run(engine, sandbox.meta.name, &session, attach->signals, err);
    return r < 0 ? r : engine_wait(engine, attach->name, WAIT_NOT_RUNNING, ret_status, err);
}
