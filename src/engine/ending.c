/* engine_wait, engine_stop, engine_kill, engine_remove: how a sandbox's life ends, and who waits.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/path.h"
#include "base/str.h"
#include "engine/engine.h"
#include "engine/events.h"
#include "engine/idrange.h"
#include "engine/overdue.h"
#include "engine/records.h"
#include "engine/restart.h"
#include "engine/vm_call.h"
#include "engine/vm_netns.h"
#include "engine/volume.h"
#include "spec/signals.h"
#include "sys/process.h"

#define STOP_TIMEOUT_S 10
#define LOOKS 3 /* of 10 s each, at what was killed and is still there */
#define TIDYING_MS 30000
#define SETTLE_TRIES 500 /* of 10 ms: as long as another process may start or end it */

/* ---- waiting --------------------------------------------------------------------------------- */

/* The monitor holds the lock as long as it lives; with --rm the folder is gone then, but what was
 * opened before still tells. */
static int wait_for_monitor(
        struct engine *engine, const struct sandbox *sandbox, int *ret_status, struct error *err)
{
    _cleanup_close_ int before = sandbox_life_open(sandbox->record_fd);
    struct sandbox_life life = {0};

    while (sandbox_has_run(sandbox) && flock(sandbox->record_fd, LOCK_SH) < 0)
        if (errno != EINTR)
            return error_sys(err, errno, "wait for sandbox \"%s\"", sandbox->meta.name);
    int r = sandbox_life_load(sandbox->record_fd, engine->arena, &life, NULL);
    if (r < 0 && before >= 0)
        r = sandbox_life_read(before, engine->arena, &life, NULL);
    if (sandbox->status == SPEC_CREATED && !sandbox_has_run(sandbox)) {
        *ret_status = 0;
        return 0;
    }
    if (r < 0 || !life.ended)
        return error_set(err, ECHILD,
                "sandbox \"%s\" has ended, but nobody was left to see how: its monitor was killed",
                sandbox->meta.name);
    *ret_status = life.code;
    return 0;
}

/* What is looked at again each time that something has changed. */
struct waiting {
    enum wait_condition condition;
    bool was_alive;
    char started[64]; /* of the life that was there first */
};

static bool is_alive(const struct sandbox *sandbox)
{
    return sandbox_has_run(sandbox) && sandbox->status != SPEC_STOPPED;
}

/* 1: it is over; `*ret_status` is then known, if there is one. */
static int look(struct engine *engine, const char *name, struct waiting *waiting, int *ret_status,
        struct error *err)
{
    _cleanup_arena_ struct arena arena = {0};
    _cleanup_sandbox_ struct sandbox sandbox = {.record_fd = -1};
    struct engine view = *engine;

    view.arena = &arena; /* this may go on for days */
    int r = engine_find(&view, name, &sandbox, err);
    if (r == -ENOENT && waiting->condition == WAIT_REMOVED)
        return 1;
    if (r < 0)
        return r;
    const struct sandbox_life *life = &sandbox.life;
    bool alive = is_alive(&sandbox);
    bool other = !str_equal(life->started ? life->started : "", waiting->started);
    switch (waiting->condition) {
    case WAIT_RUNNING:
        return alive;
    case WAIT_REMOVED:
        return 0;
    case WAIT_NOT_RUNNING:
    case WAIT_NEXT_EXIT:
        break;
    }
    if (alive && !other)
        return 0;
    if (!alive && !life->ended && !other && waiting->was_alive &&
            !record_is_watched(sandbox.record_fd))
        return error_set(err, ECHILD, "sandbox \"%s\" has ended, but nobody was left to see how",
                sandbox.meta.name);
    if (!life->ended || (!other && !waiting->was_alive))
        return 0;
    *ret_status = life->code;
    return 1;
}

/* Wakes when a folder of the store, of the records, or the record itself has changed. */
static int open_watch(struct engine *engine, const struct sandbox *sandbox)
{
    char record[64];
    int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    const uint32_t kinds = IN_CREATE | IN_DELETE | IN_MOVED_TO | IN_MOVED_FROM;

    if (fd < 0)
        return -errno;
    snprintf(record, sizeof(record), "/proc/self/fd/%d", sandbox->record_fd);
    inotify_add_watch(fd, record, kinds);
    inotify_add_watch(fd, engine->store.root, kinds);
    inotify_add_watch(fd, path_join(engine->arena, engine->data_root, "sandboxes"), kinds);
    return fd;
}

static int wait_for_change(struct engine *engine, const struct sandbox *sandbox,
        enum wait_condition condition, int *ret_status, struct error *err)
{
    _cleanup_close_ int watch = open_watch(engine, sandbox);
    struct waiting waiting = {.condition = condition, .was_alive = is_alive(sandbox)};
    const char *started = sandbox->life.started;
    const char *word = sandbox->meta.id ? sandbox->meta.id : sandbox->meta.name;
    char events[4096];
    int r;

    if (watch < 0)
        return error_sys(err, -watch, "watch sandbox \"%s\"", sandbox->meta.name);
    snprintf(waiting.started, sizeof(waiting.started), "%s", started ? started : "");
    while ((r = look(engine, word, &waiting, ret_status, err)) == 0) {
        /* a second: who killed the monitor changes no file */
        struct pollfd ready = {.fd = watch, .events = POLLIN};
        if (poll(&ready, 1, 1000) > 0)
            while (read(watch, events, sizeof(events)) > 0)
                ;
    }
    return r < 0 ? r : 0;
}

int engine_wait(struct engine *engine, const char *name, enum wait_condition condition,
        int *ret_status, struct error *err)
{
    _cleanup_sandbox_ struct sandbox sandbox = {.record_fd = -1};
    int r = engine_find(engine, name, &sandbox, err);

    if (r < 0)
        return r;
    bool once = !restart_possible(&sandbox.meta);
    if (condition == WAIT_NOT_RUNNING && (once || !is_alive(&sandbox)))
        return wait_for_monitor(engine, &sandbox, ret_status, err);
    *ret_status = 0;
    return wait_for_change(engine, &sandbox, condition, ret_status, err);
}

/* ---- ending ---------------------------------------------------------------------------------- */

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

/* From now on its policy does not start it again. */
static void end_for_good(const struct sandbox *sandbox)
{
    if (sandbox->kept && restart_possible(&sandbox->meta))
        restart_stop(sandbox->record_fd);
}

/*
 * It does not run, but someone may be about to change that: a monitor that waits before it starts
 * it again, or another command. 1: nobody is, and the lock is ours; 0: look again.
 */
static int settle(const struct sandbox *sandbox)
{
    if (record_try_lock(sandbox->record_fd) == 0)
        return 1;
    _cleanup_close_ int monitor =
            sandbox->life.restarting ? sys_pidfd_open(sandbox->life.monitor, 0) : -1;
    if (monitor >= 0)
        sys_pidfd_send_signal(monitor, SIGTERM);
    usleep(10000);
    return 0;
}

/* Its process has ended, and its monitor tidies up. */
static int wait_for_tidying(const struct sandbox *sandbox, struct error *err)
{
    for (int waited_ms = 0; record_is_watched(sandbox->record_fd); waited_ms += 10) {
        if (waited_ms >= TIDYING_MS)
            return overdue_monitor(sandbox, err);
        usleep(10000);
    }
    return 0;
}

static int stop_running(
        const struct sandbox *sandbox, const struct engine_stopping *stopping, struct error *err)
{
    pid_t pid = sandbox->container.state.pid;
    int own = sandbox->meta.stop_timeout > 0 ? sandbox->meta.stop_timeout : STOP_TIMEOUT_S;
    int timeout_s = stopping->timeout_s >= 0 ? stopping->timeout_s : own;
    int signal = stopping->signal ? stopping->signal : stop_signal(sandbox);
    int r = 0;

    if (sandbox->status == SPEC_PAUSED)
        r = container_resume(&sandbox->container, err);
    if (r == 0 && timeout_s > 0)
        r = container_kill(&sandbox->container, signal, false, err);
    if (r == 0 && !ends_within(pid, timeout_s))
        r = container_kill(&sandbox->container, SIGKILL, false, err);
    if (r == -ESRCH)
        r = 0; /* it ended by itself in between */
    if (r < 0)
        return r;
    for (int looks = 1; r == 0 && !ends_within(pid, CONTAINER_PATIENCE_MS / 1000); looks++)
        r = overdue_process(pid, sandbox->meta.name, looks == LOOKS, err);
    return r < 0 || stopping->again ? r : wait_for_tidying(sandbox, err);
}

/* Finding one whose monitor was killed gives back what it holds. */
static int tidy_up(struct engine *engine, const char *name)
{
    _cleanup_sandbox_ struct sandbox sandbox = {.record_fd = -1};

    engine_find(engine, name, &sandbox, NULL);
    return 0;
}

int engine_stop(struct engine *engine, const char *name, const struct engine_stopping *stopping,
        struct error *err)
{
    for (int tries = 0; tries < SETTLE_TRIES; tries++) {
        _cleanup_sandbox_ struct sandbox sandbox = {.record_fd = -1};
        int r = engine_find(engine, name, &sandbox, err);
        if (r < 0)
            return r;
        if (stopping->again)
            restart_ask(sandbox.record_fd);
        else
            end_for_good(&sandbox);
        if (is_alive(&sandbox)) {
            r = stop_running(&sandbox, stopping, err);
            record_unlock(sandbox.record_fd);
            if (r == 0)
                event_of(engine, &sandbox.meta, "stop", NULL, NULL);
            return r < 0 || stopping->again ? r : tidy_up(engine, sandbox.meta.name);
        }
        if (stopping->again || settle(&sandbox))
            return 0;
    }
    return error_set(
            err, EBUSY, "sandbox \"%s\" is being started or ended by another command", name);
}

int engine_kill(struct engine *engine, const char *name, int signal, bool all, struct error *err)
{
    _cleanup_sandbox_ struct sandbox sandbox = {.record_fd = -1};
    int r = engine_find(engine, name, &sandbox, err);

    if (r < 0)
        return r;
    if (!is_alive(&sandbox))
        r = error_set(err, ESRCH, "container not running");
    if (r == 0 && (signal == SIGKILL || signal == stop_signal(&sandbox)))
        end_for_good(&sandbox);
    if (r == 0)
        r = workload_kill(&sandbox.container, signal, all, err);
    if (r == 0)
        event_of(
                engine, &sandbox.meta, "kill", "signal", arena_printf(engine->arena, "%d", signal));
    return r < 0 ? error_prefix(err, "sandbox \"%s\"", sandbox.meta.name) : 0;
}

/* Ends it, and waits until nobody is at it. */
static int end_now(struct engine *engine, const char *name, int timeout_s, struct error *err)
{
    int r = engine_stop(engine, name, &(struct engine_stopping){.timeout_s = timeout_s}, err);

    return r == -ENOENT ? 0 : r; /* one with --rm goes by itself */
}

int engine_remove(struct engine *engine, const char *name, const struct engine_removal *removal,
        struct error *err)
{
    _cleanup_sandbox_ struct sandbox sandbox = {.record_fd = -1};
    int r = engine_find(engine, name, &sandbox, err);

    if (r < 0)
        return r;
    bool busy = is_alive(&sandbox) || sandbox.life.restarting;
    if (!removal->force && busy)
        return error_set(err, EBUSY,
                "sandbox \"%s\" is %s: stop it first (viv stop %s), or use viv rm -f",
                sandbox.meta.name,
                sandbox.life.restarting ? "restarting" : spec_status_name(sandbox.status),
                sandbox.meta.name);
    if (busy) {
        name = sandbox.meta.name;
        sandbox_close(&sandbox);
        r = end_now(engine, name, removal->timeout_s, err);
        if (r == 0)
            r = engine_find(engine, name, &sandbox, NULL);
        if (r < 0)
            return r == -ENOENT ? 0 : r;
    }
    if (sandbox_has_run(&sandbox))
        r = vm_netns_delete(&sandbox.container, true, err);
    if (r == 0 && sandbox.life.id_first)
        idrange_release(&engine->store, sandbox.meta.name, (uint32_t)sandbox.life.id_first);
    if (r == 0)
        r = record_remove(engine, sandbox.meta.name, sandbox.meta.id, sandbox.kept, err);
    if (r == 0 && (removal->volumes || sandbox.meta.remove))
        volumes_drop(engine, &sandbox.meta);
    if (r == 0)
        event_of(engine, &sandbox.meta, "destroy", NULL, NULL);
    return r;
}
