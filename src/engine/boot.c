#include "engine/boot.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/install.h"
#include "base/io.h"
#include "base/loop.h"
#include "sys/process.h"
#include "sys/tty.h"

#define PROGRAM "viv-vmm"
#define REPORT_MAX 8192

struct boot {
    struct arena *arena;
    pid_t pid;
    int pidfd;
    int report;  /* viv-vmm's line about the end */
    int console; /* where what is typed goes; -1: viv-vmm reads standard input itself */
    bool escaped;
    struct loop_source *typed;
    struct sys_tty_saved terminal;
};

/* What viv-vmm inherits; closed here once it runs. */
struct inherited {
    int description, report, input;
};

static void close_inherited(struct inherited *fds)
{
    cleanup_close(&fds->description);
    cleanup_close(&fds->report);
    cleanup_close(&fds->input);
}

static void end_boot(struct boot *boot)
{
    if (boot->pid > 0) {
        siginfo_t info;
        (void)sys_pidfd_send_signal(boot->pidfd, SIGKILL);
        (void)sys_waitid(P_PID, (id_t)boot->pid, &info, WEXITED);
    }
    sys_tty_restore(&boot->terminal);
    cleanup_close(&boot->pidfd);
    cleanup_close(&boot->report);
    cleanup_close(&boot->console);
}

/* ---- the terminal ---- */

/* What was typed, without the escapes. False when the machine is to end. */
static bool filter_keys(struct boot *boot, const char *keys, size_t length, struct buf *ret)
{
    for (size_t i = 0; i < length; i++) {
        if (boot->escaped) {
            boot->escaped = false;
            if (keys[i] == 'x')
                return false;
            if (keys[i] != BOOT_ESCAPE)
                buf_add_char(ret, BOOT_ESCAPE);
        } else if (keys[i] == BOOT_ESCAPE) {
            boot->escaped = true;
            continue;
        }
        buf_add_char(ret, keys[i]);
    }
    return true;
}

static void on_typed(struct loop *loop, int fd, uint32_t events, void *data)
{
    struct boot *boot = data;
    _cleanup_buf_ struct buf text = {0};
    char keys[256];
    ssize_t n = read(fd, keys, sizeof(keys));

    (void)loop;
    (void)events;
    if (n <= 0) {
        loop_remove(boot->typed);
        boot->typed = NULL;
        cleanup_close(&boot->console);
        return;
    }
    if (!filter_keys(boot, keys, (size_t)n, &text))
        (void)sys_pidfd_send_signal(boot->pidfd, SIGTERM);
    if (text.length)
        (void)io_write_all(boot->console, text.data, text.length);
}

static void on_gone(struct loop *loop, int fd, uint32_t events, void *data)
{
    (void)fd;
    (void)events;
    (void)data;
    loop_quit(loop, 0);
}

static void on_signal(struct loop *loop, const struct signalfd_siginfo *info, void *data)
{
    struct boot *boot = data;

    (void)loop;
    (void)sys_pidfd_send_signal(boot->pidfd, (int)info->ssi_signo);
}

/* ---- starting ---- */

static int make_pipe(int *ret_read, int *ret_write, struct error *err)
{
    int ends[2];

    if (pipe2(ends, O_CLOEXEC) < 0)
        return error_sys(err, errno, "pipe2");
    *ret_read = ends[0];
    *ret_write = ends[1];
    return 0;
}

static int write_description(const struct proto_machine *machine, int *ret_fd, struct error *err)
{
    _cleanup_json_ struct json_object *json = record_write(&proto_machine_record, machine);
    _cleanup_close_ int fd = memfd_create("machine", MFD_CLOEXEC);
    const char *text = json_text(json);
    int r = fd < 0 ? -errno : io_write_all(fd, text, strlen(text));

    if (r < 0 || lseek(fd, 0, SEEK_SET) < 0)
        return error_sys(err, r < 0 ? -r : errno, "keep the machine's description");
    *ret_fd = take_fd(&fd);
    return 0;
}

static int prepare(struct boot *boot, const struct proto_machine *machine, struct inherited *fds,
        struct error *err)
{
    struct proto_machine wanted = *machine;
    int r = make_pipe(&boot->report, &fds->report, err);

    if (r < 0)
        return r;
    wanted.report_fd = (struct opt_i64){true, fds->report};
    wanted.console.output = (struct opt_i64){true, STDOUT_FILENO};
    wanted.console.input = (struct opt_i64){true, STDIN_FILENO};
    if (isatty(STDIN_FILENO)) {
        r = make_pipe(&fds->input, &boot->console, err);
        wanted.console.input.value = fds->input;
    }
    return r < 0 ? r : write_description(&wanted, &fds->description, err);
}

static void keep_open(int fd)
{
    if (fd >= 0)
        (void)fcntl(fd, F_SETFD, 0);
}

/* In the child. */
static void run_program(const char *program, const struct inherited *fds)
{
    char from[32];
    char *argv[] = {(char *)(uintptr_t)PROGRAM, from, NULL};

    (void)sys_prctl(PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0);
    keep_open(fds->description);
    keep_open(fds->report);
    keep_open(fds->input);
    snprintf(from, sizeof(from), "fd:%d", fds->description);
    (void)sys_execve(program, argv, environ);
    _exit(127);
}

static int start(struct boot *boot, const struct proto_machine *machine, struct error *err)
{
    _cleanup_(close_inherited) struct inherited fds = {-1, -1, -1};
    const char *program;
    struct clone_args args = {
            .flags = CLONE_PIDFD, .pidfd = (uintptr_t)&boot->pidfd, .exit_signal = SIGCHLD};
    int r = install_find_program(boot->arena, PROGRAM, &program, err);

    if (r == 0)
        r = prepare(boot, machine, &fds, err);
    if (r < 0)
        return r;
    pid_t pid = sys_clone3(&args);
    if (pid < 0)
        return error_sys(err, -pid, "start %s", program);
    if (pid == 0)
        run_program(program, &fds);
    boot->pid = pid;
    return 0;
}

/* ---- waiting ---- */

static int wait_for_end(struct boot *boot, struct loop *loop, struct error *err)
{
    sigset_t set;
    int r = loop_add_fd(loop, boot->pidfd, EPOLLIN, on_gone, boot, NULL);

    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    if (r == 0)
        r = loop_add_signals(loop, &set, on_signal, boot, NULL);
    if (r == 0 && boot->console >= 0)
        r = loop_add_fd(loop, STDIN_FILENO, EPOLLIN, on_typed, boot, &boot->typed);
    if (r < 0)
        return error_sys(err, -r, "wait for the machine");
    if (boot->console >= 0)
        r = sys_tty_raw(STDIN_FILENO, &boot->terminal, err);
    return r < 0 ? r : loop_run(loop);
}

/* viv-vmm's report; a kill leaves none. */
static int read_end(struct boot *boot, struct proto_machine_end *ret, struct error *err)
{
    _cleanup_buf_ struct buf text = {.max = REPORT_MAX};
    _cleanup_json_ struct json_object *json = NULL;
    struct record_report report = {.arena = boot->arena};
    siginfo_t info = {0};

    (void)sys_waitid(P_PID, (id_t)boot->pid, &info, WEXITED);
    boot->pid = 0;
    if (io_read_fd(boot->report, &text) < 0 || text.length == 0 ||
            json_parse(text.data, text.length, PROGRAM, &json, err) < 0) {
        bool killed = info.si_code == CLD_KILLED || info.si_code == CLD_DUMPED;
        return error_set(err, EIO,
                "%s ended %s %d without saying why; what it printed above may "
                "tell",
                PROGRAM, killed ? "by signal" : "with status", info.si_status);
    }
    *ret = (struct proto_machine_end){0};
    record_read(&proto_machine_end_record, json, "", ret, &report);
    return record_error(&report, PROGRAM, err);
}

int engine_boot(struct arena *arena, const struct proto_machine *machine,
        struct proto_machine_end *ret_end, int *ret_status, struct error *err)
{
    _cleanup_(end_boot) struct boot boot = {
            .arena = arena, .pidfd = -1, .report = -1, .console = -1, .terminal.fd = -1};
    struct loop *loop = NULL;
    int r = loop_new(&loop, err);

    if (r == 0)
        r = start(&boot, machine, err);
    if (r == 0)
        r = wait_for_end(&boot, loop, err);
    if (r == 0)
        r = read_end(&boot, ret_end, err);
    loop_free(loop);
    if (r < 0)
        return r;
    bool good = str_equal(ret_end->reason, "poweroff") || str_equal(ret_end->reason, "stopped");
    *ret_status = str_equal(ret_end->reason, "exit") ? ret_end->status & 0xff : !good;
    return 0;
}
