#include "engine/machine.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/install.h"
#include "base/io.h"
#include "sys/process.h"

#define PROGRAM "viv-vmm"
#define REPORT_MAX 8192

/* What viv-vmm is given beside what the caller's description names; closed here once it runs. */
struct inherited {
    struct proto_machine wanted; /* the description as it is sent */
    int description, report, control;
};

static void close_inherited(struct inherited *given)
{
    cleanup_close(&given->description);
    cleanup_close(&given->report);
    cleanup_close(&given->control);
}

/* ---- starting ---- */

static int make_report(struct engine_machine *machine, struct inherited *given, struct error *err)
{
    int ends[2];

    if (pipe2(ends, O_CLOEXEC) < 0)
        return error_sys(err, errno, "pipe2");
    machine->report = ends[0];
    given->report = ends[1];
    given->wanted.report_fd = (struct opt_i64){true, ends[1]};
    return 0;
}

static int make_control(struct engine_machine *machine, struct inherited *given, struct error *err)
{
    int ends[2];

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
        return error_sys(err, errno, "socketpair");
    machine->control = ends[0];
    given->control = ends[1];
    given->wanted.control_fd = (struct opt_i64){true, ends[1]};
    return 0;
}

static int write_description(struct inherited *given, struct error *err)
{
    _cleanup_json_ struct json_object *json = record_write(&proto_machine_record, &given->wanted);
    _cleanup_close_ int fd = memfd_create("machine", MFD_CLOEXEC);
    const char *text = json_text(json);
    int r = fd < 0 ? -errno : io_write_all(fd, text, strlen(text));

    if (r < 0 || lseek(fd, 0, SEEK_SET) < 0)
        return error_sys(err, r < 0 ? -r : errno, "keep the machine's description");
    given->description = take_fd(&fd);
    return 0;
}

static int prepare(const struct engine_machine_config *config, struct engine_machine *machine,
        struct inherited *given, struct error *err)
{
    given->wanted = *config->description;
    int r = make_report(machine, given, err);

    if (r == 0 && config->control)
        r = make_control(machine, given, err);
    return r < 0 ? r : write_description(given, err);
}

static void keep_open(struct opt_i64 *fd, void *data)
{
    (void)data;
    (void)fcntl((int)fd->value, F_SETFD, 0);
}

/* In the child. */
static void run_program(const char *program, bool end_with_host, struct inherited *given)
{
    char from[32];
    char *argv[] = {(char *)(uintptr_t)PROGRAM, from, NULL};

    if (end_with_host)
        (void)sys_prctl(PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0);
    proto_machine_visit_fds(&given->wanted, keep_open, NULL);
    (void)fcntl(given->description, F_SETFD, 0);
    snprintf(from, sizeof(from), "fd:%d", given->description);
    (void)sys_execve(program, argv, environ);
    _exit(127);
}

int engine_machine_start(struct arena *arena, const struct engine_machine_config *config,
        struct engine_machine *ret, struct error *err)
{
    _cleanup_engine_machine_ struct engine_machine machine = ENGINE_MACHINE_NONE;
    _cleanup_(close_inherited) struct inherited given = {
            .description = -1, .report = -1, .control = -1};
    const char *program;
    int r = install_find_program(arena, PROGRAM, &program, err);

    if (r == 0)
        r = prepare(config, &machine, &given, err);
    if (r < 0)
        return r;
    struct clone_args args = {
            .flags = CLONE_PIDFD, .pidfd = (uintptr_t)&machine.pidfd, .exit_signal = SIGCHLD};
    pid_t pid = sys_clone3(&args);
    if (pid < 0)
        return error_sys(err, -pid, "start %s", program);
    if (pid == 0)
        run_program(program, config->end_with_host, &given);
    machine.pid = pid;
    *ret = machine;
    machine = (struct engine_machine)ENGINE_MACHINE_NONE;
    return 0;
}

/* ---- its end ---- */

int engine_machine_signal(const struct engine_machine *machine, int signal)
{
    return sys_pidfd_send_signal(machine->pidfd, signal);
}

int engine_machine_wait(struct arena *arena, struct engine_machine *machine,
        struct proto_machine_end *ret, struct error *err)
{
    _cleanup_buf_ struct buf text = {.max = REPORT_MAX};
    _cleanup_json_ struct json_object *json = NULL;
    struct record_report report = {.arena = arena};
    siginfo_t info = {0};

    (void)sys_waitid(P_PID, (id_t)machine->pid, &info, WEXITED);
    machine->pid = 0;
    if (io_read_fd(machine->report, &text) < 0 || text.length == 0 ||
            json_parse(text.data, text.length, PROGRAM, &json, err) < 0) {
        bool killed = info.si_code == CLD_KILLED || info.si_code == CLD_DUMPED;
        return error_set(err, EIO,
                "%s ended %s %d without saying why; what it printed above may "
                "tell",
                PROGRAM, killed ? "by signal" : "with status", info.si_status);
    }
    struct proto_machine_end end = {0};
    record_read(&proto_machine_end_record, json, "", &end, &report);
    int r = record_error(&report, PROGRAM, err);
    if (r == 0)
        *ret = end;
    return r;
}

int engine_machine_status(const struct proto_machine_end *end)
{
    bool good = str_equal(end->reason, "poweroff") || str_equal(end->reason, "stopped");

    return str_equal(end->reason, "exit") ? end->status & 0xff : !good;
}

void engine_machine_close(struct engine_machine *machine)
{
    if (machine->pid > 0) {
        siginfo_t info;
        (void)sys_pidfd_send_signal(machine->pidfd, SIGKILL);
        (void)sys_waitid(P_PID, (id_t)machine->pid, &info, WEXITED);
        machine->pid = 0;
    }
    cleanup_close(&machine->pidfd);
    cleanup_close(&machine->report);
    cleanup_close(&machine->control);
}
