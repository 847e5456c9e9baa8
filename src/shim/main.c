/*
 * viv-shim: stands on the host for one process inside a machine. It has that process's standard
 * streams, takes its signals, and ends with its status, so that whoever watches processes (viv's
 * monitor, an engine) watches one like any other.
 *
 *     viv-shim LINK STATUS LOG SERVER [start]
 *
 * LINK is the descriptor of a connection to the machine's agent (proto/agent.h) whose process was
 * asked for already; `start` lets it begin. STATUS is a descriptor to which the end is written as
 * JSON (agent_exit), or -1. LOG is the pipe with what viv-vmm and the guest's kernel say, for the
 * message when the machine ends before the process, or -1. SERVER is the loopback address of a name
 * server that is asked for the machine (names.h), or empty. It needs no right but that to its
 * descriptors, and gives up all others.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <termios.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "proto/carry.h"
#include "proto/lastwords.h"
#include "shim/names.h"
#include "sys/allowlist.h"
#include "sys/creds.h"
#include "sys/process.h"
#include "sys/tty.h"

enum { EXIT_OWN = 125, EXIT_LOST = 137 };

struct shim {
    struct loop *loop;
    struct carry *carry;
    struct lastwords words;
    struct names names;
    struct loop_source *log;
    int status_fd;
    bool terminal, exited, lost;
    struct agent_exit end;
    struct error err;
    struct sys_tty_saved saved;
};

/* ---- what comes from the machine ------------------------------------------------------------- */

static int take_exit(struct shim *shim, const struct agent_frame *frame)
{
    _cleanup_arena_ struct arena arena = {0};
    int r = agent_read(frame, &agent_exit_record, &arena, &shim->end, NULL);

    if (r < 0 || shim->end.code < 0 || shim->end.code > 255)
        return -EPROTO;
    shim->exited = true;
    return 0;
}

static int on_frame(void *data, const struct agent_frame *frame)
{
    struct shim *shim = data;

    switch (frame->type) {
    case AGENT_STARTED:
        return 0;
    case AGENT_EXIT:
        return take_exit(shim, frame);
    case AGENT_ASK:
        return names_ask(&shim->names, frame);
    case AGENT_FAILED:
        agent_read_error(frame, &shim->err);
        loop_quit(shim->loop, 0);
        return 0;
    default:
        return -EPROTO;
    }
}

static void on_lost(void *data, int reason)
{
    struct shim *shim = data;

    if (!shim->exited && !shim->err.errnum) {
        error_sys(&shim->err, -reason, "the machine has ended, and the workload with it");
        shim->lost = true;
    }
    loop_quit(shim->loop, 0);
}

static void on_log(struct loop *loop, int fd, uint32_t events, void *data)
{
    struct shim *shim = data;

    (void)loop, (void)fd, (void)events;
    if (lastwords_read(&shim->words))
        return;
    loop_remove(shim->log);
    shim->log = NULL;
}

/* False when nothing is to be told: the machine was stopped (viv snapshot --stop). viv-vmm is a
 * child of whoever became this process, unless this is a further one's. */
static bool tell_why(struct shim *shim)
{
    siginfo_t info = {0};

    if (shim->words.fd < 0)
        return true;
    bool over = lastwords_finish(&shim->words, LASTWORDS_PATIENCE_MS);
    const char *said = lastwords_line(&shim->words);
    if (str_ends(said, LASTWORDS_STOPPED))
        return false;
    if (*said)
        error_append(&shim->err, "; it said: %s", said);
    if (over && sys_waitid(P_ALL, 0, &info, WEXITED) == 0 && info.si_code != CLD_EXITED)
        error_append(&shim->err, "; viv-vmm was killed by signal %d", info.si_status);
    return true;
}

static void on_moved(void *data)
{
    struct shim *shim = data;

    if (shim->exited && carry_passed_on(shim->carry))
        loop_quit(shim->loop, 0);
}

/* ---- what goes to it ------------------------------------------------------------------------- */

static void send_window_size(struct shim *shim)
{
    struct winsize size;
    uint16_t both[2];

    if (!shim->terminal || ioctl(0, TIOCGWINSZ, &size) < 0)
        return;
    both[0] = size.ws_col;
    both[1] = size.ws_row;
    if (size.ws_col || size.ws_row)
        carry_send(shim->carry, AGENT_SIZE, both, sizeof(both));
}

static void on_signal(struct loop *loop, const struct signalfd_siginfo *info, void *data)
{
    struct shim *shim = data;
    uint32_t number = info->ssi_signo;

    (void)loop;
    if (number == SIGWINCH && shim->terminal)
        send_window_size(shim);
    else
        carry_send(shim->carry, AGENT_SIGNAL, &number, sizeof(number));
}

static int take_signals(struct shim *shim)
{
    static const int own[] = {SIGCHLD, SIGPIPE, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTTOU, SIGTTIN};
    sigset_t set;

    sigfillset(&set);
    for (size_t i = 0; i < ARRAY_SIZE(own); i++)
        sigdelset(&set, own[i]);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGTTOU, SIG_IGN);
    return loop_add_signals(shim->loop, &set, on_signal, shim, NULL);
}

/* ---- its life -------------------------------------------------------------------------------- */

static void give_up_rights(void)
{
    (void)sys_prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    (void)sys_capset(0, 0, 0);
    (void)sys_prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    if (chdir("/") < 0)
        return;
}

/* Bytes between descriptors that are open, the terminal, and how viv-vmm has ended. */
static const int own_calls[] = {SYS_read, SYS_write, SYS_readv, SYS_writev, SYS_sendto,
        SYS_recvfrom, SYS_sendmsg, SYS_recvmsg, SYS_epoll_wait, SYS_epoll_pwait, SYS_epoll_ctl,
        SYS_poll, SYS_ppoll, SYS_close, SYS_lseek, SYS_fcntl, SYS_ioctl, SYS_fstat, SYS_newfstatat,
        SYS_waitid, SYS_clock_gettime, SYS_futex, SYS_brk, SYS_munmap, SYS_mremap, SYS_madvise,
        SYS_rt_sigprocmask, SYS_rt_sigaction, SYS_rt_sigreturn, SYS_sigaltstack, SYS_getrandom,
        SYS_restart_syscall, SYS_exit, SYS_exit_group};

/* From here on a machine's agent is listened to. */
static int confine(struct error *err)
{
    struct allowlist list;

    allowlist_begin(&list);
    allowlist_calls(&list, own_calls, ARRAY_SIZE(own_calls));
    allowlist_memory(&list);
    int r = ALLOWLIST_WITH_RUNTIME ? 0 : allowlist_enforce(&list, SECCOMP_RET_ERRNO | EPERM);
    return r < 0 ? error_sys(err, -r, "give up system calls") : 0;
}

static int begin(struct shim *shim, int link, const char *server, bool start, struct error *err)
{
    struct carry_config config = {
            .loop = NULL,
            .link = link,
            .data = shim,
            .on_frame = on_frame,
            .on_lost = on_lost,
            .on_moved = on_moved,
    };
    int r = loop_new(&shim->loop, err);

    config.loop = shim->loop;
    if (r == 0)
        r = take_signals(shim);
    if (r == 0)
        r = carry_new(&config, &shim->carry, err);
    if (r == 0 && !str_empty(server))
        r = names_open(&shim->names, server, shim->loop, shim->carry, err);
    if (r < 0)
        return r;
    shim->terminal = isatty(0) && tcgetsid(0) == getsid(0);
    if (shim->terminal)
        r = sys_tty_raw(0, &shim->saved, err);
    if (r == 0 && shim->words.fd >= 0)
        r = loop_add_fd(shim->loop, shim->words.fd, EPOLLIN, on_log, shim, &shim->log);
    if (start)
        carry_send(shim->carry, AGENT_START, NULL, 0);
    send_window_size(shim);
    carry_source(shim->carry, 0, 0);
    carry_sink(shim->carry, 1, 1, false);
    carry_sink(shim->carry, 2, 2, false);
    return r;
}

static int finish(struct shim *shim)
{
    int code = shim->end.code;

    if (!shim->exited) {
        int said = 0;
        if (!shim->lost || tell_why(shim))
            said = dprintf(2, "viv-shim: %s\n", shim->err.text);
        shim->end.said = said > 0 ? (uint32_t)said : 0;
        code = shim->err.exit_status ? shim->err.exit_status : EXIT_LOST;
        shim->end.code = code;
    }
    if (shim->status_fd >= 0) {
        _cleanup_json_ struct json_object *json = record_write(&agent_exit_record, &shim->end);
        const char *text = json_text(json);
        (void)io_write_all(shim->status_fd, text, strlen(text));
    }
    return code;
}

int main(int argc, char **argv)
{
    struct shim shim = {.saved = {.fd = -1}, .names = {.sock = -1}, .err = ERROR_NONE};
    struct error err = ERROR_NONE;
    int link;

    if (argc < 5 || str_to_int(argv[1], &link) < 0 || str_to_int(argv[2], &shim.status_fd) < 0 ||
            str_to_int(argv[3], &shim.words.fd) < 0) {
        fprintf(stderr, "viv-shim is started by viv for a process in a machine\n");
        return EXIT_OWN;
    }
    give_up_rights();
    int r = begin(&shim, link, argv[4], argc > 5, &err);
    if (r == 0)
        r = confine(&err);
    if (r == 0 && !shim.err.errnum) /* else it was lost already */
        r = loop_run(shim.loop);
    if (r < 0) {
        dprintf(2, "viv-shim: %s\n", err.text);
        return EXIT_OWN;
    }
    int code = finish(&shim);
    carry_free(shim.carry);
    loop_free(shim.loop);
    return code;
}
