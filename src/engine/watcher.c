#include "engine/watcher.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/io.h"
#include "sys/process.h"

enum report_kind { REPORT_STARTED, REPORT_ENDED, REPORT_FAILED };

#define TOLD_MAX 65536U

struct report {
    enum report_kind kind;
    int status;
    bool goes_on;  /* the watcher does, though the workload has ended */
    uint32_t told; /* bytes that follow: lines */
    struct error err;
};

static void send_report(int fd, const struct report *report)
{
    io_write_all(fd, report, sizeof(*report)); /* nobody there: the command was killed */
}

/* What the caller has open beside the streams, such as a lock: it would be kept until the workload
 * ends. All of ours is close-on-exec. */
static void close_inherited(void)
{
    _cleanup_closedir_ DIR *dir = opendir("/proc/self/fd");
    struct dirent *entry;

    while (dir && (entry = readdir(dir))) {
        int fd = (int)strtol(entry->d_name, NULL, 10);
        if (fd > STDERR_FILENO && !(fcntl(fd, F_GETFD) & FD_CLOEXEC))
            close(fd);
    }
}

void watcher_started(int report_fd, const struct strv *told)
{
    struct report report = {.kind = REPORT_STARTED};
    _cleanup_buf_ struct buf lines = {.max = TOLD_MAX};

    for (size_t i = 0; told && i < told->count; i++) {
        buf_add_str(&lines, told->words[i]);
        buf_add_char(&lines, '\n');
    }
    report.told = (uint32_t)lines.length;
    send_report(report_fd, &report);
    io_write_all(report_fd, buf_text(&lines), lines.length);
    /* from here on the monitor belongs to no terminal and to no job of the shell, and keeps nobody
     * waiting who reads to the end of the command's output */
    sys_setsid();
    _cleanup_close_ int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    for (int fd = 0; fd < 3 && null_fd >= 0; fd++)
        dup2(null_fd, fd);
    close_inherited();
}

void watcher_ended(int report_fd, int status)
{
    const struct report report = {.kind = REPORT_ENDED, .status = status, .goes_on = true};

    send_report(report_fd, &report);
}

static void run_watcher(watcher_fn fn, void *data, int report_fd, int client_sock)
{
    struct report report = {.kind = REPORT_ENDED};

    signal(SIGPIPE, SIG_IGN);
    int r = fn(data, report_fd, client_sock, &report.err);
    if (r < 0)
        report.kind = REPORT_FAILED;
    report.status = r;
    send_report(report_fd, &report);
    _exit(0);
}

static int read_report(int fd, struct report *report, struct error *err)
{
    int r = io_read_exact(fd, report, sizeof(*report));

    if (r < 0)
        return error_set(err, EPIPE,
                "the process that watches the sandbox was killed; `viv rm -f` takes away what it "
                "has left");
    if (report->kind == REPORT_FAILED) {
        if (err)
            *err = report->err;
        return report->status;
    }
    return 0;
}

static void read_told(int fd, uint32_t length, const struct watcher_told *told)
{
    char *text = length && length <= TOLD_MAX ? arena_alloc(told->arena, length + 1) : NULL;
    struct strv lines = {0};
    const char *line;

    if (!text || io_read_exact(fd, text, length) < 0 || !told->lines)
        return;
    strv_split(told->arena, &lines, text, '\n');
    strv_foreach (line, &lines) {
        if (*line)
            strv_add(told->arena, told->lines, line);
    }
}

int watcher_start(watcher_fn fn, void *data, bool with_client, const struct watcher_told *told,
        struct watcher *ret, struct error *err)
{
    struct report report;
    int pipe_ends[2];
    int socks[2] = {-1, -1};

    if (pipe2(pipe_ends, O_CLOEXEC) < 0)
        return error_sys(err, errno, "make a pipe to the monitor");
    _cleanup_close_ int read_end = pipe_ends[0];
    _cleanup_close_ int write_end = pipe_ends[1];
    if (with_client && socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, socks) < 0)
        return error_sys(err, errno, "make a socket to the monitor");
    _cleanup_close_ int near_sock = socks[0];
    _cleanup_close_ int far_sock = socks[1];
    pid_t pid = fork();
    if (pid == 0) {
        close(read_end);
        cleanup_close(&near_sock);
        run_watcher(fn, data, write_end, far_sock);
    }
    if (pid < 0)
        return error_sys(err, errno, "make the monitor's process");
    cleanup_close(&write_end);
    cleanup_close(&far_sock);
    int r = read_report(read_end, &report, err);
    if (r < 0) {
        waitpid(pid, NULL, 0);
        return r;
    }
    read_told(read_end, report.told, told);
    *ret = (struct watcher){take_fd(&read_end), take_fd(&near_sock), pid};
    return 0;
}

int watcher_wait(struct watcher *watcher, int *ret_status, struct error *err)
{
    struct report report;
    int r = read_report(watcher->report_fd, &report, err);

    if (r < 0)
        return r;
    if (!report.goes_on)
        waitpid(watcher->pid, NULL, 0); /* nothing of it is left when the command ends */
    *ret_status = report.status;
    return 0;
}

void watcher_close(struct watcher *watcher)
{
    cleanup_close(&watcher->report_fd);
    cleanup_close(&watcher->sock);
}
