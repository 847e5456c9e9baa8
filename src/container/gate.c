#include "container/gate.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "plan/run.h"

#define START "start.fifo"
#define REPORT "report.fifo"

/* What the child is told. */
#define GO '0'
#define GO_AWAY 'x'

static int open_fifo(int dir_fd, const char *name, int *ret)
{
    if (mkfifoat(dir_fd, name, 0600) < 0)
        return -errno;
    /* for reading and writing: opening one end of a FIFO alone would wait for the other */
    int fd = openat(dir_fd, name, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    *ret = fd;
    return 0;
}

static int make_apply(const struct step *step, struct plan_run *run, struct error *err)
{
    const struct container_gate *gate = step->args;
    int r = open_fifo(gate->dir_fd, START, &run->fds[gate->start_slot]);

    if (r == 0)
        r = open_fifo(gate->dir_fd, REPORT, &run->fds[gate->report_slot]);
    return r < 0 ? error_sys(err, -r, "make the FIFOs that start opens") : 0;
}

static int make_undo(const struct step *step, struct plan_run *run, struct error *err)
{
    const struct container_gate *gate = step->args;

    (void)run, (void)err;
    unlinkat(gate->dir_fd, START, 0);
    unlinkat(gate->dir_fd, REPORT, 0);
    return 0;
}

static void make_describe(const struct step *step, struct step_text *text)
{
    (void)step;
    step_call(text, "mknodat(<sandbox>, \"" START "\", S_IFIFO|0600)");
    step_call(text, "mknodat(<sandbox>, \"" REPORT "\", S_IFIFO|0600)");
    step_why(text, "Makes the gate at which the container waits until it is started.");
}

static const struct step_ops make_ops = {
        .name = "mkfifo",
        .manual = "fifo(7)",
        .apply = make_apply,
        .undo = make_undo,
        .describe = make_describe,
};

/*
 * Behind the gate nobody but `start` listens: the report goes into the FIFO, whose last writer is
 * this process; execve closes it.
 */
static int wait_apply(const struct step *step, struct plan_run *run, struct error *err)
{
    const struct container_gate *gate = step->args;
    int report = run->fds[gate->report_slot];
    char byte;
    int r = plan_child_detach(run, report, err);

    if (r < 0)
        return r;
    r = io_read_exact(run->fds[gate->start_slot], &byte, 1);
    if (r < 0)
        return error_sys(err, -r, "wait to be started");
    return byte == GO ? 0 : error_set(err, ECANCELED, "taken away before it was started");
}

static void wait_describe(const struct step *step, struct step_text *text)
{
    (void)step;
    step_call(text, "read(<" START ">, \"0\", 1)");
    step_why(text, "The container is created; here it waits to be started.");
}

static const struct step_ops wait_ops = {
        .name = "read",
        .manual = "fifo(7)",
        .apply = wait_apply,
        .describe = wait_describe,
};

void container_gate_make_step(struct plan *plan, struct container_gate *gate)
{
    gate->start_slot = plan_new_slot(plan);
    gate->report_slot = plan_new_slot(plan);
    plan_add(plan, STEP_HOST, &make_ops, "", arena_memdup(plan->arena, gate, sizeof(*gate)));
}

void container_gate_wait_step(struct plan *plan, const struct container_gate *gate)
{
    plan_add(plan, STEP_CHILD, &wait_ops, "", arena_memdup(plan->arena, gate, sizeof(*gate)));
}

bool container_gate_is_closed(int dir_fd)
{
    return faccessat(dir_fd, START, F_OK, 0) == 0;
}

bool container_gate_is_closed_in(int store_fd, const char *folder)
{
    char path[NAME_MAX + sizeof(START) + 1];

    snprintf(path, sizeof(path), "%s/" START, folder);
    return faccessat(store_fd, path, F_OK, 0) == 0;
}

static int read_report(int report, struct error *err)
{
    char text[ERROR_TEXT_MAX];
    size_t length = 0;
    ssize_t got;

    while ((got = read(report, text + length, sizeof(text) - 1 - length)) > 0)
        length += (size_t)got;
    if (length == 0)
        return 0;
    return error_set(err, EIO, "%.*s", (int)length, text);
}

int container_gate_open(int dir_fd, struct error *err)
{
    _cleanup_close_ int report = openat(dir_fd, REPORT, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    _cleanup_close_ int start = openat(dir_fd, START, O_WRONLY | O_NONBLOCK | O_CLOEXEC);

    if (start < 0 && errno == ENXIO)
        return error_set(err, ESRCH, "the container's process has ended before it was started");
    if (report < 0 || start < 0)
        return error_sys(err, errno, "open the gate");
    /* the first one to take the FIFO's name away is the one who starts it */
    if (unlinkat(dir_fd, START, 0) < 0)
        return error_sys(err, errno, "open the gate");
    unlinkat(dir_fd, REPORT, 0);
    if (fcntl(report, F_SETFL, 0) < 0 || write(start, &(char){GO}, 1) != 1)
        return error_sys(err, errno, "open the gate");
    return read_report(report, err);
}

/* 0 when the last one who could write has closed it. */
static int wait_for_last_writer(int report, unsigned timeout_ms)
{
    struct pollfd ready = {.fd = report, .events = POLLIN};
    char text[ERROR_TEXT_MAX];
    ssize_t got;

    while ((got = read(report, text, sizeof(text))) != 0) {
        if (got < 0 && errno != EAGAIN && errno != EINTR)
            return -errno;
        int r = got > 0 ? 1 : poll(&ready, 1, (int)timeout_ms);
        if (r == 0)
            return -ETIMEDOUT;
        if (r < 0 && errno != EINTR)
            return -errno;
    }
    return 0;
}

int container_gate_abandon(int dir_fd, unsigned timeout_ms, struct error *err)
{
    _cleanup_close_ int report = openat(dir_fd, REPORT, O_RDONLY | O_NONBLOCK | O_CLOEXEC);

    if (report < 0)
        return errno == ENOENT ? 0 : error_sys(err, errno, "open the gate");
    _cleanup_close_ int start = openat(dir_fd, START, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
    if (start >= 0 && write(start, &(char){GO_AWAY}, 1) != 1)
        return error_sys(err, errno, "send away who waits at the gate");
    int r = wait_for_last_writer(report, timeout_ms);
    return r < 0 ? error_sys(err, -r, "wait for the end of the process at the gate") : 0;
}
