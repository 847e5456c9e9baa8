#include "engine/health.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/recordfile.h"
#include "base/str.h"
#include "engine/events.h"
#include "engine/unwell.h"
#include "sys/process.h"

#define FILE_NAME "health.json"
#define SECOND ((int64_t)1000000000)
#define USUAL_TIME (30 * SECOND)
#define USUAL_START (5 * SECOND) /* between two checks while it starts */
#define USUAL_RETRIES 3
#define TIMED_OUT (-1)
#define PATIENCE (5 * SECOND) /* for what starts and ends a check */

static const struct field result_fields[] = {
        FIELD(struct health_result, start, FIELD_STR),
        FIELD(struct health_result, end, FIELD_STR),
        FIELD_WRITTEN(struct health_result, code, FIELD_I32),
        FIELD(struct health_result, output, FIELD_STR),
};
static const struct record result_record = RECORD(struct health_result, result_fields);

static const struct field report_fields[] = {
        FIELD_WRITTEN(struct health_report, status, FIELD_STR),
        FIELD_WRITTEN(struct health_report, failing, FIELD_I32),
        FIELD_OF(struct health_report, log, "log", FIELD_LIST, &result_record),
};
static const struct record report_record = RECORD(struct health_report, report_fields);

/* ---- what was found -------------------------------------------------------------------------- */

int health_load(int record_fd, struct arena *arena, struct health_report *ret)
{
    struct health_report found;
    int r = recordfile_load(record_fd, FILE_NAME, &report_record, arena, &found, NULL);

    if (r == 0)
        *ret = found;
    return r;
}

void health_tell(const struct sandbox *sandbox, struct arena *arena, struct health_report *ret)
{
    bool checked = sandbox->meta.health.test.count;

    *ret = (struct health_report){.status = checked ? "starting" : "none"};
    if (checked)
        health_load(sandbox->record_fd, arena, ret);
}

static void save(int record_fd, const struct health_report *report)
{
    recordfile_save(record_fd, FILE_NAME, &report_record, report, RECORDFILE_PRIVATE);
}

static bool in_start_period(const struct sandbox_check *check, const char *started)
{
    struct tm parts = {0};

    if (!check->start_period_ns || !started || !strptime(started, "%Y-%m-%dT%H:%M:%S", &parts))
        return false;
    return time(NULL) - timegm(&parts) <= check->start_period_ns / SECOND;
}

/* One result more: what it says of the whole; whether it makes the sandbox unhealthy. */
static bool note(const char *root, int record_fd, const struct sandbox_meta *meta,
        const struct health_result *result)
{
    _cleanup_arena_ struct arena arena = {0};
    struct health_report report = {0};
    struct sandbox_life life = {0};
    int retries = meta->health.retries > 0 ? meta->health.retries : USUAL_RETRIES;

    if (health_load(record_fd, &arena, &report) < 0)
        report = (struct health_report){.status = "starting"};
    const char *before = report.status;
    sandbox_life_load(record_fd, &arena, &life, NULL);
    bool lenient =
            str_equal(report.status, "starting") && in_start_period(&meta->health, life.started);
    if (result->code == 0) {
        report.status = "healthy";
        report.failing = 0;
    } else if (!lenient && ++report.failing >= retries) {
        report.status = "unhealthy";
    }
    if (report.log.count == HEALTH_LOG_MAX) {
        report.log.items++;
        report.log.count--;
    }
    struct health_result *last = RECORD_APPEND(&arena, &report.log);
    *last = *result;
    save(record_fd, &report);
    if (str_equal(report.status, before))
        return false;
    const struct event event = {"container",
            arena_printf(&arena, "health_status: %s", report.status), meta->id, meta->name,
            meta->image, NULL, NULL};
    event_add(root, &event);
    return str_equal(report.status, "unhealthy");
}

/* ---- one check ------------------------------------------------------------------------------- */

static struct strv command_of(struct arena *arena, const struct sandbox_check *check)
{
    struct strv args = {0};
    bool shell = str_equal(check->test.words[0], "CMD-SHELL");

    if (shell) {
        strv_add(arena, &args, "/bin/sh");
        strv_add(arena, &args, "-c");
    }
    for (size_t i = 1; i < check->test.count; i++)
        strv_add(arena, &args, check->test.words[i]);
    return args;
}

static int64_t time_or(int64_t given, int64_t usual)
{
    return given > 0 ? given : usual;
}

/* In a child: the check, with its output in the pipe; ends with the check's status. */
static void run_inside(
        const struct engine_root *root, const struct sandbox_meta *meta, int record_fd, int output)
{
    struct arena arena = {0};
    struct engine engine = {0};
    struct error err = ERROR_NONE;
    sigset_t none;
    int status = 0;
    int null_fd = open("/dev/null", O_RDONLY);

    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL);
    dup2(null_fd, 0);
    dup2(output, 1);
    dup2(output, 2);
    close(record_fd); /* the lock is the monitor's alone */
    /* what is killed is the command, not this process: it has to be reaped by whom it belongs to */
    struct engine_exec exec = {.name = meta->id,
            .args = command_of(&arena, &meta->health),
            .timeout_ns = time_or(meta->health.timeout_ns, USUAL_TIME)};
    int r = engine_open(&arena, root, &engine, &err);
    if (r == 0)
        r = engine_exec(&engine, &exec, &status, &err);
    if (r < 0) {
        dprintf(1, "%s\n", err.text);
        status = err.exit_status ? err.exit_status : 125;
    }
    _exit(status);
}

struct health {
    struct loop *loop;
    struct engine_root root;
    struct sandbox_meta meta; /* its strings are the engine's */
    int record_fd;
    struct loop_source *timer; /* the next check, or the end of this one's time */
    struct loop_source *output_source, *end_source;
    pid_t pid;
    int pidfd, output;
    bool timed_out;
    struct buf text;
    char start[64];
    int64_t start_ns;
};

static void on_due(struct loop *loop, void *data);

/* Until the next check: shorter in a start period, until the first one goes well. */
static int64_t interval_of(const struct health *health)
{
    _cleanup_arena_ struct arena arena = {0};
    const struct sandbox_check *check = &health->meta.health;
    int64_t usual = time_or(check->interval_ns, USUAL_TIME);
    int64_t start = time_or(check->start_interval_ns, usual < USUAL_START ? usual : USUAL_START);
    struct health_report report = {0};
    struct sandbox_life life = {0};

    if (!check->start_period_ns || health_load(health->record_fd, &arena, &report) < 0 ||
            !str_equal(report.status, "starting"))
        return usual;
    sandbox_life_load(health->record_fd, &arena, &life, NULL);
    return in_start_period(check, life.started) ? start : usual;
}

static void plan_next(struct health *health)
{
    loop_add_timer(
            health->loop, (uint64_t)interval_of(health) / 1000, on_due, health, &health->timer);
}

static void stop_reading(struct health *health)
{
    loop_remove(health->output_source);
    health->output_source = NULL;
    cleanup_close(&health->output);
}

static void read_output(struct health *health)
{
    char chunk[1024];
    ssize_t got;

    while ((got = read(health->output, chunk, sizeof(chunk))) > 0)
        buf_add(&health->text, chunk,
                (size_t)got < HEALTH_OUTPUT_MAX - health->text.length
                        ? (size_t)got
                        : HEALTH_OUTPUT_MAX - health->text.length);
    if (got == 0)
        stop_reading(health);
}

static void on_output(struct loop *loop, int fd, uint32_t events, void *data)
{
    (void)loop, (void)fd, (void)events;
    read_output(data);
}

static int64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * SECOND + now.tv_nsec;
}

static void on_late(struct loop *loop, void *data)
{
    struct health *health = data;

    (void)loop;
    health->timer = NULL;
    health->timed_out = true;
    sys_pidfd_send_signal(health->pidfd, SIGKILL);
}

static void finish_check(struct health *health)
{
    _cleanup_arena_ struct arena arena = {0};
    int status = 0;

    waitpid(health->pid, &status, 0);
    int64_t most = time_or(health->meta.health.timeout_ns, USUAL_TIME);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 128 + SIGKILL &&
            now_ns() - health->start_ns >= most)
        health->timed_out = true;
    loop_remove(health->end_source);
    health->end_source = NULL;
    if (health->output >= 0)
        read_output(health);
    stop_reading(health);
    cleanup_close(&health->pidfd);
    loop_remove(health->timer);
    health->timer = NULL;
    struct health_result result = {.start = health->start,
            .end = container_now_text(&arena),
            .code = health->timed_out   ? TIMED_OUT
                    : WIFEXITED(status) ? WEXITSTATUS(status)
                                        : 128 + WTERMSIG(status),
            .output = health->timed_out ? "the check took too long and was killed"
                                        : buf_text(&health->text)};
    bool unwell = note(health->root.state, health->record_fd, &health->meta, &result);
    buf_clear(&health->text);
    if (unwell && health->meta.health.on_failure)
        unwell_act(&health->root, &health->meta);
}

static void on_end(struct loop *loop, int fd, uint32_t events, void *data)
{
    (void)loop, (void)fd, (void)events;
    finish_check(data);
    plan_next(data);
}

/* Starts a check; whether there is one to wait for. */
static bool start_check(struct health *health)
{
    _cleanup_arena_ struct arena arena = {0};
    int ends[2];

    if (pipe2(ends, O_CLOEXEC) < 0)
        return false;
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    snprintf(health->start, sizeof(health->start), "%s", container_now_text(&arena));
    health->timed_out = false;
    health->start_ns = now_ns();
    health->pid = fork();
    if (health->pid == 0)
        run_inside(&health->root, &health->meta, health->record_fd, ends[1]);
    close(ends[1]);
    health->output = ends[0];
    if (health->pid > 0)
        health->pidfd = sys_pidfd_open(health->pid, 0);
    if (health->pid < 0 || health->pidfd < 0) {
        cleanup_close(&health->output);
        return false;
    }
    return true;
}

static void on_due(struct loop *loop, void *data)
{
    struct health *health = data;
    int64_t late = time_or(health->meta.health.timeout_ns, USUAL_TIME) + PATIENCE;

    health->timer = NULL;
    if (!start_check(health)) {
        plan_next(health);
        return;
    }
    loop_add_timer(loop, (uint64_t)late / 1000, on_late, health, &health->timer);
    loop_add_fd(loop, health->output, EPOLLIN, on_output, health, &health->output_source);
    loop_add_fd(loop, health->pidfd, EPOLLIN, on_end, health, &health->end_source);
}

struct health *health_begin(
        struct loop *loop, struct engine *engine, const struct sandbox_meta *meta, int record_fd)
{
    const struct health_report starting = {.status = "starting"};

    unlinkat(record_fd, FILE_NAME, 0);
    if (!meta->health.test.count)
        return NULL;
    struct health *health = calloc(1, sizeof(*health));
    if (!health)
        return NULL;
    save(record_fd, &starting);
    health->loop = loop;
    health->root = (struct engine_root){engine->store.root, engine->data_root};
    health->meta = *meta;
    health->record_fd = record_fd;
    health->pidfd = health->output = -1;
    health->text.max = HEALTH_OUTPUT_MAX;
    plan_next(health);
    return health;
}

void health_end(struct health *health)
{
    if (!health)
        return;
    if (health->pidfd >= 0) {
        sys_pidfd_send_signal(health->pidfd, SIGKILL);
        waitpid(health->pid, NULL, 0);
    }
    stop_reading(health);
    cleanup_close(&health->pidfd);
    buf_free(&health->text);
    free(health);
}

/* ---- by hand --------------------------------------------------------------------------------- */

static void run_now(struct health *health)
{
    int64_t left = (time_or(health->meta.health.timeout_ns, USUAL_TIME) + PATIENCE) / 1000000;

    if (!start_check(health))
        return;
    for (;;) {
        struct pollfd waiting[] = {
                {.fd = health->pidfd, .events = POLLIN}, {.fd = health->output, .events = POLLIN}};
        int r = poll(waiting, 2, (int)left);
        if (r < 0 && errno == EINTR)
            continue;
        if (r == 0) {
            health->timed_out = true;
            sys_pidfd_send_signal(health->pidfd, SIGKILL);
        }
        if (r <= 0 || waiting[0].revents)
            break;
        read_output(health);
    }
    finish_check(health);
}

int health_check(struct engine *engine, const char *name, int *ret_code, struct error *err)
{
    _cleanup_sandbox_ struct sandbox sandbox = {.record_fd = -1};
    struct health_report report = {0};
    int r = engine_find(engine, name, &sandbox, err);

    if (r < 0)
        return r;
    if (!sandbox.meta.health.test.count)
        return error_set(err, EINVAL, "sandbox \"%s\" has no health check: see --health-cmd", name);
    if (sandbox.status != SPEC_RUNNING)
        return error_set(err, ESRCH, "sandbox \"%s\" is not running", name);
    struct health health = {.root = {engine->store.root, engine->data_root},
            .meta = sandbox.meta,
            .record_fd = sandbox.record_fd,
            .pidfd = -1,
            .output = -1,
            .text = {.max = HEALTH_OUTPUT_MAX}};
    run_now(&health);
    buf_free(&health.text);
    r = health_load(sandbox.record_fd, engine->arena, &report);
    if (r < 0 || !report.log.count)
        return error_set(err, EIO, "the check of sandbox \"%s\" could not be run", name);
    *ret_code = report.log.items[report.log.count - 1].code;
    return 0;
}
