/* engine_run, engine_create, engine_start and engine_plan: from a configuration to a watched
 * workload. */
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/str.h"
#include "cgroup/group.h"
#include "engine/attached.h"
#include "engine/bury.h"
#include "engine/connect.h"
#include "engine/engine.h"
#include "engine/events.h"
#include "engine/health.h"
#include "engine/idrange.h"
#include "engine/monitor.h"
#include "engine/network.h"
#include "engine/prepare.h"
#include "engine/preserved.h"
#include "engine/records.h"
#include "engine/restart.h"
#include "engine/session.h"
#include "engine/snapshot.h"
#include "engine/vm.h"
#include "engine/vm_netns.h"
#include "engine/vm_root.h"
#include "engine/volumes.h"
#include "engine/watcher.h"
#include "sys/process.h"

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

#define START_FAILED 125 /* the status of a life that did not begin */

/* ---- the record ------------------------------------------------------------------------------ */

/* The configuration as it was built: what a start fills in is filled in anew each time. meta.json
 * comes last: a record without it is none. */
static int write_record(int record_fd, const struct engine_run *run, struct error *err)
{
    _cleanup_json_ struct json_object *json = spec_write(run->spec);
    const char *text = json_text(json);
    int r = io_replace_file_at(record_fd, "config.json", text, strlen(text), 0600, true);

    if (r < 0)
        return error_sys_hint(err, -r, error_room(-r), "write config.json of %s", run->meta.name);
    return sandbox_meta_save(record_fd, &run->meta, true, err);
}

/* --cidfile: a file that is there is another sandbox's. */
static int write_cidfile(const struct engine_run *run, struct error *err)
{
    if (!run->cidfile)
        return 0;
    _cleanup_close_ int fd = open(run->cidfile, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (fd < 0)
        return error_sys_hint(err, errno,
                errno == EEXIST ? "it is there already: take it away if its sandbox is gone" : NULL,
                "--cidfile %s", run->cidfile);
    int r = io_write_all(fd, run->meta.id, strlen(run->meta.id));
    return r < 0 ? error_sys(err, -r, "--cidfile %s", run->cidfile) : 0;
}

static void drop_cidfile(const struct engine_run *run)
{
    if (run->cidfile)
        unlink(run->cidfile);
}

/* ---- the workload's life --------------------------------------------------------------------- */

static enum streams_kind kind_of(const struct running *running)
{
    if (running->run->meta.tty)
        return STREAMS_TERMINAL;
    if (!running->foreground)
        return STREAMS_PIPES;
    /* what a label may not write, such as a file of this command's user, the kernel takes from it
     */
    bool labelled = !str_empty(running->run->spec->process->selinuxLabel);
    return running->kept || labelled ? STREAMS_TEE : STREAMS_INHERIT;
}

static int save_life(struct running *running, struct error *err)
{
    const struct sandbox_meta *meta = &running->run->meta;
    int r = 0;

    running->life.started = running->making.state.created;
    running->life.monitor = getpid();
    running->life.restarts = running->restarts;
    if (!running->kept)
        r = sandbox_meta_save(running->record_fd, meta, false, err);
    return r < 0 ? r : sandbox_life_save(running->record_fd, &running->life, err);
}

static bool is_machine(const struct running *running)
{
    return str_equal(running->run->meta.isolation, "vm");
}

/* viv-vmm's own, given back with the sandbox. */
static int take_machine_ids(struct running *running, uint32_t *ret, struct error *err)
{
    struct engine *engine = running->engine;
    uint32_t first = (uint32_t)running->life.id_first;
    int r = 0;

    if (engine->host.rootless)
        return 0;
    if (!first)
        r = idrange_take(&engine->store, running->run->meta.name, &first, err);
    if (r < 0)
        return r;
    running->life.id_first = first;
    *ret = first;
    return 0;
}

/* A guest keeps what it has read of its root: what it reads later has to fit. */
static int note_root(struct running *running, const struct vm_config *config, struct error *err)
{
    uint64_t *sum = &running->life.root_checksum;
    int r = running->kept ? vm_root_checksum(config, sum, err) : 0;

    if (r == 0 && running->from && running->from->root_checksum != *sum)
        r = error_set(err, EBADMSG,
                "the root's disk is another than the machine had when its snapshot was taken: its "
                "image or folder was changed since, or viv or erofs-utils were; viv start begins "
                "anew");
    return r;
}

static int make_machine(struct running *running, struct error *err)
{
    const struct engine_run *run = running->run;
    struct vm_config config;
    int ends[2];
    int r = vm_configure(running->engine, run, true, &config, err);

    if (r < 0)
        return r;
    _cleanup_close_ int root = config.root_fd;
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
        return error_sys(err, errno, "make a pipe for the machine's end");
    running->status_fd = ends[0];
    _cleanup_close_ int status = ends[1];
    config.root_fd = root;
    config.status_fd = status;
    config.networks = running->networks;
    config.going_on = running->from;
    r = note_root(running, &config, err);
    if (r == 0)
        r = take_machine_ids(running, &config.id_first, err);
    if (r == 0)
        r = vm_make(&running->request, &config, &run->apply, &running->making, err);
    if (r == 0 && running->networks)
        r = sandbox_networks_note_init(running->networks, running->making.run.child, err);
    return r;
}

static int make_workload(struct running *running, struct error *err)
{
    if (is_machine(running))
        return make_machine(running, err);
    return container_make_in(&running->request, &running->run->apply, &running->making, err);
}

static int write_pidfile(const struct running *running, struct error *err)
{
    const char *path = running->run->meta.pidfile;
    char text[16];

    if (!path)
        return 0;
    int length = snprintf(text, sizeof(text), "%d\n", running->making.state.pid);
    int r = io_replace_file_at(AT_FDCWD, path, text, (size_t)length, 0644, false);
    return r < 0 ? error_sys(err, -r, "--pidfile %s", path) : 0;
}

/* Those of a bundle; when one fails the workload has been killed. */
static int run_poststart_hooks(const struct running *running, struct error *err)
{
    const struct engine *engine = running->engine;
    const struct container made = {
            engine->arena, &engine->store, running->run_fd, running->making.state};

    return container_poststart(&made, err);
}

static int make(struct running *running, struct error *err)
{
    int r = streams_swap_in(&running->streams, err);

    if (r < 0)
        return r;
    running->request.console_fd = running->streams.console_peer;
    r = make_workload(running, err);
    cgroup_oom_mark(&running->making.state.cgroup, &running->oom_mark);
    streams_swap_out(&running->streams);
    if (r < 0)
        return r;
    tell_refusals(running);
    r = save_life(running, err);
    if (r == 0)
        r = write_pidfile(running, err);
    if (r == 0)
        r = streams_settle(&running->streams, err);
    if (r == 0)
        r = run_poststart_hooks(running, err);
    if (r < 0) {
        plan_undo(&running->making.run, NULL);
        plan_run_end(&running->making.run);
        return r;
    }
    preserved_close(running->run->preserve_fds); /* the workload's alone */
    store_settle(&running->engine->store, running->run->meta.name);
    if (!running->again)
        event_of(running->engine, &running->run->meta, "create", NULL, NULL);
    const char *begun = running->restarts ? "restart" : "start";
    event_of(
            running->engine, &running->run->meta, running->goes_on ? "restore" : begun, NULL, NULL);
    return 0;
}

/* All but the record, which stays locked while it is to be started again. */
static void close_run(struct running *running)
{
    streams_close(&running->streams);
    logfile_close(&running->log);
    cleanup_close(&running->run_fd);
    cleanup_close(&running->status_fd);
    if (running->from)
        cleanup_close(&running->from->snapshot);
}

/* It could not be started: what was taken for it is given back, and a new one is forgotten. */
static void abandon(struct running *running)
{
    const struct sandbox_meta *meta = &running->run->meta;

    running_unprepare(running);
    if (!running->again)
        record_remove(running->engine, meta->name, meta->id, running->kept, NULL);
    if (!running->again)
        volumes_drop(running->engine, meta);
    store_remove(&running->engine->store, meta->name, NULL);
    close_run(running);
    if (running->restarts == 0)
        cleanup_close(&running->record_fd);
}

static int take_name(struct running *running, struct error *err)
{
    struct engine *engine = running->engine;
    const struct sandbox_meta *meta = &running->run->meta;

    if (running->record_fd >= 0)
        return record_reserve_run(engine, meta->name, &running->run_fd, err);
    if (running->again)
        return record_again(engine, meta, &running->record_fd, &running->run_fd, err);
    return record_new(engine, meta, running->kept, &running->record_fd, &running->run_fd, err);
}

static int find_snapshot(struct running *running, struct error *err)
{
    struct vm_going_on *from = arena_new(running->engine->arena, struct vm_going_on);
    int r = sandbox_snapshot_open(running->engine, running->record_fd, running->run, from, err);

    running->from = r == 0 ? from : NULL;
    return r;
}

static int begin(struct running *running, struct error *err)
{
    const struct sandbox_meta *meta = &running->run->meta;
    int r = take_name(running, err);

    if (r < 0)
        return r;
    running->streams = STREAMS_NONE;
    running->log = LOGFILE_NONE;
    if (running->kept && !running->again)
        r = write_record(running->record_fd, running->run, err);
    else if (!running->kept && meta->volumes.count)
        r = sandbox_meta_save(
                running->record_fd, meta, false, err); /* who removes them looks here */
    if (running->again && running->restarts == 0)
        restart_forget(running->record_fd);
    if (running->again)
        sandbox_snapshot_settle(running->record_fd);
    if (r == 0 && running->goes_on)
        r = find_snapshot(running, err);
    if (r == 0)
        r = running_prepare(running, true, err);
    if (r == 0)
        r = streams_open(kind_of(running), meta->interactive, &running->streams, err);
    if (r == 0 && kind_of(running) != STREAMS_INHERIT)
        r = logfile_open(running->record_fd, meta, &running->log, err);
    if (r == 0)
        r = make(running, err);
    if (r < 0)
        abandon(running);
    return r;
}

/* Told before it is written down, so that who waits for that finds it told. */
static void tell_end(const struct running *running, const struct sandbox_meta *meta, int status)
{
    if (running->life.oom_killed)
        event_of(running->engine, meta, "oom", NULL, NULL);
    event_of(running->engine, meta, "die", "exitCode",
            arena_printf(running->engine->arena, "%d", status));
}

/* What viv-shim has said itself, where the workload's errors go, was not the workload's. */
static void note_machine_end(struct running *running)
{
    const struct agent_exit end = vm_read_end(running->status_fd);
    struct agent_resumed from = {0};
    uint64_t *heard = &running->passed[running->run->meta.tty ? 0 : 1];

    if (running->from)
        from = running->from->from;
    running->life.oom_killed = end.oom_killed;
    *heard -= end.said < *heard ? end.said : *heard;
    running->life.passed_output = from.output + running->passed[0];
    running->life.passed_error = from.error + running->passed[1];
}

/* Whether the record says that it is started again, now that it has ended so. */
static bool wants_restart(int record_fd, int status, int restarts)
{
    _cleanup_arena_ struct arena arena = {0};
    const struct sandbox_life life = {.code = status, .restarts = restarts};
    struct sandbox_meta meta;

    if (restart_is_stopped(record_fd) || sandbox_meta_load(record_fd, &arena, &meta, NULL) < 0)
        return false;
    return restart_is_asked(record_fd) || restart_wanted(&meta, &life);
}

/* The workload has ended: how is written down, and all that it held is given back. */
static int finish(struct running *running, int status, struct error *err)
{
    struct engine *engine = running->engine;
    const struct sandbox_meta *meta = &running->run->meta;
    struct container container = {
            engine->arena, &engine->store, running->run_fd, running->making.state};
    const char *name = record_name_of(engine->arena, running->run_fd);

    if (name)
        container.state.id = name; /* it may have been renamed */
    running->life.ended = true;
    running->life.code = status;
    running->life.finished = container_now_text(engine->arena);
    running->life.restarting =
            running->kept && wants_restart(running->record_fd, status, running->restarts);
    if (is_machine(running))
        note_machine_end(running);
    else
        running->life.oom_killed = running->oom_kills > 0;
    if (running->life.oom_killed && running->foreground)
        strv_add(engine->arena, running->run->told,
                "the workload ran out of memory and the kernel killed it; raise the limit with "
                "--memory");
    struct sandbox_meta named = *meta;
    named.name = container.state.id;
    tell_end(running, &named, status);
    if (meta->remove)
        sandbox_life_leave(running->record_fd, &running->life);
    else
        sandbox_life_save(running->record_fd, &running->life, NULL);
    int given = sandbox_networks_give_back(running->networks, err);
    running->networks = NULL;
    if (sandbox_was_connected(running->run_fd))
        bury_networks_of(engine, meta);
    int r = vm_netns_delete(&container, true, given < 0 ? NULL : err);
    for (size_t i = 0; i < container.warnings.count && running->foreground; i++)
        strv_add(engine->arena, running->run->told, container.warnings.words[i]);
    if (running->life.id_first)
        idrange_release(&engine->store, container.state.id, (uint32_t)running->life.id_first);
    if (meta->remove) {
        record_remove(engine, container.state.id, meta->id, running->kept, NULL);
        volumes_drop(engine, meta);
        event_of(engine, &named, "destroy", NULL, NULL);
    }
    plan_run_end(&running->making.run);
    if (given < 0)
        r = given;
    return r < 0 ? r : status;
}

static void count_oom_kills(void *data)
{
    struct running *running = data;

    running->oom_kills = cgroup_oom_kills_since(&running->making.state.cgroup, &running->oom_mark);
}

static void *begin_health(struct loop *loop, void *data)
{
    const struct running *running = data;

    return health_begin(loop, running->engine, &running->run->meta, running->record_fd);
}

static void end_health(void *health)
{
    health_end(health);
}

static const struct monitor_companion health_companion = {begin_health, end_health};

static void tell_started(void *data)
{
    struct running *running = data;

    if (running->report_fd >= 0)
        watcher_started(running->report_fd, running->run->told);
    if (running->restarts && restart_is_stopped(running->record_fd))
        sys_pidfd_send_signal(running->making.run.child_pidfd, SIGKILL); /* stopped meanwhile */
}

static int watch(struct running *running, int client_sock, struct error *err)
{
    bool streams = running->streams.output >= 0;
    struct monitor_config config = {
            .dir_fd = running->run_fd,
            .pidfd = running->making.run.child_pidfd,
            .streams = &running->streams,
            .local = running->foreground,
            .passed = running->passed,
            .log = streams ? &running->log : NULL,
            .listen = streams,
            .client = client_sock,
            .signals = true,
            .patient = !running->foreground,
            .at_begin = tell_started,
            .at_end = count_oom_kills,
            .data = running,
            .companion = &health_companion,
    };
    int status = 0;

    int r = monitor_run(&config, &status, err);
    logfile_close(&running->log); /* whole before the end is told */
    if (r < 0) {
        plan_undo(&running->making.run, NULL);
        return r;
    }
    return finish(running, status, err);
}

/* The whole of it in this process; the workload's status. */
static int live(struct running *running, int report_fd, int client_sock, struct error *err)
{
    int r = begin(running, err);

    if (r < 0)
        return r;
    running->report_fd = report_fd;
    r = watch(running, client_sock, err);
    close_run(running);
    return r;
}

/* ---- restarts -------------------------------------------------------------------------------- */

static int load_run(struct engine *engine, const char *name, int record_fd, struct engine_run *run,
        struct error *err);

/* One more life of a sandbox whose record this process holds, with memory of its own. */
static int live_again(
        const struct engine_root *root, int record_fd, int restarts, struct error *err)
{
    _cleanup_arena_ struct arena arena = {0};
    _cleanup_engine_ struct engine engine = {0};
    struct strv told = {0};
    struct engine_run run = {.detach = true, .told = &told};
    struct running running = {.engine = &engine,
            .run = &run,
            .kept = true,
            .again = true,
            .restarts = restarts,
            .record_fd = record_fd,
            .run_fd = -1,
            .status_fd = -1};
    int r = engine_open(&arena, root, &engine, err);

    if (r == 0)
        r = load_run(&engine, record_name_of(&arena, record_fd), record_fd, &run, err);
    return r < 0 ? r : live(&running, -1, -1, err);
}

/* What is written down between two lives; false when there is to be no other one. */
static bool note_restart(int record_fd, int restarts, const char *error, uint64_t wait_ms)
{
    _cleanup_arena_ struct arena arena = {0};
    struct sandbox_life life;

    if (sandbox_life_load(record_fd, &arena, &life, NULL) < 0)
        return false;
    life.restarting = true;
    life.restarts = restarts;
    life.error = error;
    if (error)
        life.code = START_FAILED;
    sandbox_life_save(record_fd, &life, NULL);
    bool go_on = restart_wait(record_fd, wait_ms);
    life.restarting = false;
    life.restarts = go_on ? restarts : restarts - 1;
    if (!go_on)
        sandbox_life_save(record_fd, &life, NULL);
    return go_on;
}

/* It was to be started again, and somebody has changed that. */
static void note_no_restart(int record_fd)
{
    _cleanup_arena_ struct arena arena = {0};
    struct sandbox_life life;

    if (sandbox_life_load(record_fd, &arena, &life, NULL) < 0 || !life.restarting)
        return;
    life.restarting = false;
    sandbox_life_save(record_fd, &life, NULL);
}

static int restart_on(const struct running *first, struct restart_pace *pace, int status)
{
    const struct engine_root root = {first->engine->store.root, first->engine->data_root};
    struct error err;
    const char *error = NULL;

    for (int restarts = 1; wants_restart(first->record_fd, status, restarts - 1); restarts++) {
        if (!note_restart(first->record_fd, restarts, error, restart_pace_next(pace)))
            break;
        restart_forget_ask(first->record_fd);
        restart_pace_born(pace);
        err = (struct error)ERROR_NONE;
        status = live_again(&root, first->record_fd, restarts, &err);
        error = status < 0 ? err.text : NULL;
        if (status < 0)
            status = START_FAILED;
    }
    note_no_restart(first->record_fd);
    return status;
}

static int live_apart(void *data, int report_fd, int client_sock, struct error *err)
{
    struct running *running = data;
    struct restart_pace pace = {0};

    restart_pace_born(&pace);
    int status = live(running, report_fd, client_sock, err);
    if (status >= 0 && running->kept && restart_possible(&running->run->meta)) {
        watcher_ended(report_fd, status);
        status = restart_on(running, &pace, status);
    }
    cleanup_close(&running->record_fd);
    return status;
}

/* A process of its own watches; this one sits at the streams, or goes. */
static int run_apart(struct running *running, struct session *session, bool signals,
        int *ret_status, struct error *err)
{
    _cleanup_watcher_ struct watcher watcher = {-1, -1};
    bool attach = ret_status;
    int r = watcher_start(live_apart, running, attach,
            &(struct watcher_told){running->engine->arena, running->run->told}, &watcher, err);

    preserved_close(running->run->preserve_fds);
    if (r < 0 || !attach || !session)
        return r;
    session->sock = watcher.sock;
    r = attached_run(running->engine, running->run->meta.name, session, signals, err);
    if (r == -ECANCELED) {
        *ret_status = 0; /* detached: it goes on without us */
        return 0;
    }
    return r < 0 ? r : watcher_wait(&watcher, ret_status, err);
}

static bool run_attaches(const struct engine_run *run)
{
    return run->attach[0] || run->attach[1] || run->attach[2];
}

int engine_run(struct engine *engine, struct engine_run *run, int *ret_status, struct error *err)
{
    struct running running = {.engine = engine,
            .run = run,
            .kept = !run->meta.remove,
            .foreground = !run->detach && !run->meta.tty && !run->keep_signals &&
                          !run_attaches(run) && !restart_possible(&run->meta),
            .record_fd = -1,
            .run_fd = -1,
            .status_fd = -1};

    record_identify(engine, &run->meta);
    int r = write_cidfile(run, err);
    if (r < 0)
        return r;
    if (!run->detach && !run->keep_signals && !run->apply.watch) /* who steps may leave */
        session_hold_signals();
    if (running.foreground) {
        r = live(&running, -1, -1, err);
        cleanup_close(&running.record_fd);
        if (r >= 0)
            *ret_status = r;
        else
            drop_cidfile(run);
        return r < 0 ? r : 0;
    }
    struct session session = {.sock = -1,
            .input = run->meta.interactive,
            .terminal = run->meta.interactive && run->meta.tty,
            .detach_keys = run->detach_keys};
    if (run_attaches(run)) {
        session.mute[1] = !run->attach[1];
        session.mute[2] = !run->attach[2];
        session.input_alone = !run->attach[1] && !run->attach[2];
    }
    r = run_apart(&running, &session, !run->keep_signals, run->detach ? NULL : ret_status, err);
    if (r < 0)
        drop_cidfile(run);
    return r;
}

int engine_create(struct engine *engine, struct engine_run *run, struct error *err)
{
    _cleanup_close_ int record_fd = -1;
    _cleanup_close_ int run_fd = -1;

    record_identify(engine, &run->meta);
    int r = write_cidfile(run, err);
    if (r < 0)
        return r;
    r = record_new(engine, &run->meta, true, &record_fd, &run_fd, err);
    if (r < 0) {
        drop_cidfile(run);
        return r;
    }
    r = write_record(record_fd, run, err);
    if (r == 0)
        r = volumes_make(engine, &run->meta, err);
    if (r < 0) {
        record_remove(engine, run->meta.name, run->meta.id, true, NULL);
        drop_cidfile(run);
    }
    store_remove(&engine->store, run->meta.name, NULL);
    if (r == 0)
        event_of(engine, &run->meta, "create", NULL, NULL);
    return r;
}

/* Unchecked: what a start fills in is missing yet. running_prepare() checks the whole. */
static int read_config(struct engine *engine, int record_fd, struct spec *spec, struct error *err)
{
    _cleanup_json_ struct json_object *json = NULL;
    struct record_report report = {.arena = engine->arena};
    int r = json_parse_file_at(record_fd, "config.json", &json, err);

    if (r < 0)
        return r;
    spec_read(json, spec, &report);
    return record_error(&report, "config.json", err);
}

int engine_config(
        struct engine *engine, const struct sandbox *sandbox, struct spec *ret, struct error *err)
{
    return read_config(engine, sandbox->record_fd, ret, err);
}

static int load_run(struct engine *engine, const char *name, int record_fd, struct engine_run *run,
        struct error *err)
{
    int r = sandbox_meta_load(record_fd, engine->arena, &run->meta, err);

    if (r < 0)
        return r;
    run->meta.name = name;
    run->spec = arena_new(engine->arena, struct spec);
    return read_config(engine, record_fd, run->spec, err);
}

int engine_start(
        struct engine *engine, const struct engine_start *start, int *ret_status, struct error *err)
{
    _cleanup_sandbox_ struct sandbox sandbox = {.record_fd = -1};
    struct engine_run run = {.told = start->told};
    int r = engine_find(engine, start->name, &sandbox, err);

    if (r == 0)
        r = load_run(engine, sandbox.meta.name, sandbox.record_fd, &run, err);
    if (r < 0)
        return r;
    if (sandbox.container.dir_fd >= 0 || sandbox.life.restarting)
        return start->attach ? engine_attach(engine,
                                       &(struct engine_attach){start->name, start->interactive,
                                               start->signals, start->detach_keys},
                                       ret_status, err)
                             : 0;
    cleanup_close(&sandbox.record_fd);
    struct running running = {.engine = engine,
            .run = &run,
            .kept = true,
            .again = true,
            .record_fd = -1,
            .run_fd = -1,
            .status_fd = -1};
    struct session session = {.sock = -1,
            .input = start->interactive && run.meta.interactive,
            .terminal = start->interactive && run.meta.tty && isatty(0),
            .detach_keys = start->detach_keys};
    return run_apart(&running, &session, start->signals, start->attach ? ret_status : NULL, err);
}

int engine_restore(struct engine *engine, const struct engine_restore *restore, struct error *err)
{
    _cleanup_sandbox_ struct sandbox sandbox = {.record_fd = -1};
    struct engine_run run = {.detach = true, .told = restore->told};
    int r = engine_find(engine, restore->name, &sandbox, err);

    if (r == 0)
        r = sandbox_check_restorable(&sandbox, err);
    if (r == 0)
        r = load_run(engine, sandbox.meta.name, sandbox.record_fd, &run, err);
    if (r < 0)
        return r;
    cleanup_close(&sandbox.record_fd);
    if (restore->accel)
        run.meta.accel = restore->accel;
    struct running running = {.engine = engine,
            .run = &run,
            .kept = true,
            .again = true,
            .goes_on = true,
            .record_fd = -1,
            .run_fd = -1,
            .status_fd = -1};
    return run_apart(&running, NULL, true, NULL, err);
}

static int plan_machine(struct running *running, struct container_making *ret, struct error *err)
{
    struct arena *arena = running->engine->arena;
    struct vm_config *config = arena_new(arena, struct vm_config);
    /* the plan's steps look at it when they are described, and `running` is gone then */
    struct container_request *request =
            arena_memdup(arena, &running->request, sizeof(running->request));
    int r = vm_configure(running->engine, running->run, false, config, err);

    config->networks = running->networks;
    return r < 0 ? r : vm_plan(request, config, ret, err);
}

int engine_plan(struct engine *engine, struct engine_run *run, struct container_making *ret,
        struct error *err)
{
    struct running running = {.engine = engine,
            .run = run,
            .foreground = !run->detach && !run->meta.tty,
            .record_fd = -1,
            .run_fd = -1,
            .status_fd = -1};

    record_identify(engine, &run->meta);
    int r = store_check_id(run->meta.name, err);
    if (r == 0)
        r = running_prepare(&running, false, err);
    if (run->meta.tty)
        running.request.console_fd = 0; /* there will be one */
    if (r < 0)
        return r;
    return is_machine(&running) ? plan_machine(&running, ret, err)
                                : container_plan(&running.request, ret, err);
}
