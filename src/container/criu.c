#include "container/criu.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "sys/mount.h"
#include "sys/process.h"

#define PROGRAM "criu"
#define MESSAGE_MAX 65536
#define LOG_MAX (4 << 20)
#define LOG_LEVEL 4 /* all but what is for CRIU's developers */
#define NOT_FOUND 127
#define NO_PLACE 126
#define OWN_MOUNTS "/proc/self/ns/mnt"
#define INHERITED_FIRST 64 /* criu's own are below */
#define LINES_TOLD 3

/* One conversation. */
struct talk {
    struct criu_call *call;
    int sock;
    int output; /* a memory file: what CRIU prints before it has its log */
    struct criu_answer answer;
};

static const char *log_name(enum criu_kind kind)
{
    return kind == CRIU_RESTORE ? "restore.log" : "dump.log";
}

static const char *kind_name(enum criu_kind kind)
{
    return kind == CRIU_RESTORE ? "RESTORE" : kind == CRIU_DUMP ? "DUMP" : "PRE_DUMP";
}

static int work_folder(const struct criu_call *call)
{
    return call->work_fd >= 0 ? call->work_fd : call->images_fd;
}

/* ---- CRIU's process -------------------------------------------------------------------------- */

/* A folder as the mount namespace that this process is in now has it, behind the same number: CRIU
 * mounts below its working directory, which it takes from us. */
static int open_again(const char *path, int fd)
{
    if (fd < 0)
        return 0;
    _cleanup_close_ int again = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return again < 0 || dup3(again, fd, O_CLOEXEC) < 0 ? -errno : 0;
}

/* In a process that shares our descriptors: the root as a mount of its own, where it and CRIU's
 * changes stay unseen. The namespace lives on behind `call->mounts`. */
static int make_place(const struct criu_call *call)
{
    int r = sys_unshare(CLONE_NEWNS);

    if (r == 0)
        r = sys_mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL);
    if (r == 0)
        r = sys_mount(call->root, call->place, NULL, MS_BIND | MS_REC, NULL);
    if (r == 0)
        r = open_again(call->images, call->images_fd);
    if (r == 0)
        r = open_again(call->work, call->work_fd);
    _cleanup_close_ int mounts = r < 0 ? -1 : open(OWN_MOUNTS, O_RDONLY | O_CLOEXEC);
    return r < 0 ? r : mounts < 0 || dup3(mounts, call->mounts, O_CLOEXEC) < 0 ? -errno : 0;
}

static int prepare_place(struct criu_call *call, struct error *err)
{
    struct clone_args args = {.flags = CLONE_FILES, .exit_signal = SIGCHLD};
    siginfo_t info = {0};

    if (!call->root)
        return 0;
    call->mounts = open(OWN_MOUNTS, O_RDONLY | O_CLOEXEC);
    if (call->mounts < 0)
        return error_sys(err, errno, "open our mount namespace");
    pid_t pid = sys_clone3(&args);
    if (pid == 0)
        _exit(-make_place(call));
    int r = pid < 0 ? pid : sys_waitid(P_PID, (id_t)pid, &info, WEXITED);
    if (r == 0 && (info.si_code != CLD_EXITED || info.si_status))
        r = info.si_code == CLD_EXITED ? -info.si_status : -EIO;
    return r < 0 ? error_sys(err, -r, "mount %s on %s for criu", call->root, call->place) : 0;
}

/* In the child: never returns. */
static void become_criu(const struct talk *talk, int sock)
{
    int mounts = talk->call->mounts;
    char number[16];
    sigset_t none;

    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL); /* we may hold signals back for the container */
    if (dup2(talk->output, 1) < 0 || dup2(talk->output, 2) < 0 || fcntl(sock, F_SETFD, 0) < 0 ||
            (mounts >= 0 && sys_setns(mounts, CLONE_NEWNS) < 0))
        _exit(NO_PLACE);
    snprintf(number, sizeof(number), "%d", sock);
    execlp(PROGRAM, PROGRAM, "swrk", number, (char *)NULL);
    _exit(NOT_FOUND);
}

static int start(struct talk *talk, pid_t *ret_pid, struct error *err)
{
    int ends[2];

    unlinkat(work_folder(talk->call), log_name(talk->call->kind), 0); /* of an earlier one */
    talk->output = memfd_create("criu", MFD_CLOEXEC);
    if (talk->output < 0)
        return error_sys(err, errno, "make a memory file for what criu says");
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
        return error_sys(err, errno, "make a socket for criu");
    pid_t pid = fork();
    if (pid == 0)
        become_criu(talk, ends[1]);
    close(ends[1]);
    talk->sock = ends[0];
    if (pid < 0)
        return error_sys(err, errno, "start criu");
    *ret_pid = pid;
    return 0;
}

/* ---- what is said ---------------------------------------------------------------------------- */

static int send_message(const struct talk *talk, const struct buf *message, struct error *err)
{
    if (message->overflow)
        return error_set(err, E2BIG, "more is asked of criu than fits into a message of %d bytes",
                MESSAGE_MAX);
    if (send(talk->sock, message->data, message->length, MSG_NOSIGNAL) < 0)
        return error_sys(err, errno, "tell criu what to do");
    return 0;
}

static int send_request(struct talk *talk, struct error *err)
{
    _cleanup_buf_ struct buf request = {.max = MESSAGE_MAX};
    struct criu_call *call = talk->call;
    struct buf *options = &call->options;

    protobuf_add_number(options, CRIU_IMAGES_FD, (unsigned)call->images_fd);
    if (call->work_fd >= 0)
        protobuf_add_number(options, CRIU_WORK_FD, (unsigned)call->work_fd);
    protobuf_add_number(options, CRIU_LOG_LEVEL, LOG_LEVEL);
    protobuf_add_text(options, CRIU_LOG_FILE, log_name(call->kind));
    protobuf_add_number(options, CRIU_NOTIFY_SCRIPTS, call->on_notice != NULL);
    criu_add_request(&request, call->kind, options);
    return send_message(talk, &request, err);
}

/* 1; 0 when CRIU has closed the socket without an answer. */
static int receive(struct talk *talk, int *ret_fd, struct error *err)
{
    char message[MESSAGE_MAX];
    size_t count = 0;
    ssize_t got;

    do
        got = io_receive_fds(talk->sock, message, sizeof(message), ret_fd, 1, &count);
    while (got == -EINTR);
    if (got == 0 || got == -ECONNRESET)
        return 0;
    if (got < 0)
        return error_sys(err, (int)-got, "read what criu answers");
    int r = criu_answer_parse(message, (size_t)got, talk->call->arena, &talk->answer, err);
    return r < 0 ? r : 1;
}

static int serve_notice(struct talk *talk, int fd, struct error *err)
{
    _cleanup_buf_ struct buf reply = {0};
    const struct criu_notice notice = {talk->answer.script, talk->answer.pid, fd};
    struct criu_call *call = talk->call;
    int r = call->on_notice ? call->on_notice(call->data, &notice, err) : 0;

    criu_add_notified(&reply, r == 0);
    int sent = send_message(talk, &reply, r < 0 ? NULL : err);
    return r < 0 ? r : sent;
}

/* Until CRIU has answered the request: 1; 0 when it ended before that. A notice that went wrong is
 * what went wrong in all; CRIU then takes back what it has done, and is waited for. */
static int converse(struct talk *talk, struct error *err)
{
    int r = send_request(talk, err), failed = 0;

    while (r == 0) {
        _cleanup_close_ int fd = -1;
        r = receive(talk, &fd, failed ? NULL : err);
        if (r <= 0 || talk->answer.kind != CRIU_NOTIFY)
            break;
        r = serve_notice(talk, fd, failed ? NULL : err);
        if (r < 0 && !failed)
            failed = r;
        r = 0;
    }
    return failed ? failed : r;
}

/* ---- what came of it ------------------------------------------------------------------------- */

/* CRIU checks the kernel first; what it cannot do there it can do nowhere on this machine. */
static bool cannot_work(const char *text)
{
    return strstr(text, "Could not initialize kernel features detection") ||
           strstr(text, "kerndat_vdso_fill_symtable failed") || strstr(text, "kerndat init");
}

/* The last lines that tell of errors, without their times; the last lines at all if none does. */
static const char *tell_errors(struct arena *arena, char *text)
{
    const char *lines[LINES_TOLD] = {NULL};
    size_t count = 0;
    char *line;

    while ((line = strsep(&text, "\n"))) {
        const char *at = strstr(line, "Error (");
        if (at)
            lines[count++ % LINES_TOLD] = at;
    }
    const char *told = "";
    for (size_t i = count > LINES_TOLD ? count - LINES_TOLD : 0; i < count; i++)
        told = arena_printf(arena, "%s%s%s", told, *told ? "; " : "", lines[i % LINES_TOLD]);
    return told;
}

/* Why it failed: what CRIU printed, or else its log. */
static int explain(const struct talk *talk, struct error *err)
{
    _cleanup_buf_ struct buf text = {.max = LOG_MAX};
    const struct criu_call *call = talk->call;
    const struct criu_answer *answer = &talk->answer;

    if (lseek(talk->output, 0, SEEK_SET) == 0)
        io_read_fd(talk->output, &text);
    io_read_file_at(work_folder(call), log_name(call->kind), &text);
    bool hopeless = cannot_work(buf_text(&text));
    const char *told = text.length ? tell_errors(call->arena, text.data) : "";
    if (!*told)
        told = !str_empty(answer->message) ? answer->message : "no reason is told";
    if (hopeless)
        return error_set(err, EOPNOTSUPP,
                "this version of CRIU cannot work on this kernel (`criu check` tells more): %s",
                told);
    return error_set(err, EIO, "criu failed: type %s errno %d: %s; log file: %s/%s",
            kind_name(call->kind), answer->code, told,
            call->work_fd >= 0 ? call->work : call->images, log_name(call->kind));
}

static int judge(const struct talk *talk, int status, struct error *err)
{
    if (WIFEXITED(status) && WEXITSTATUS(status) == NOT_FOUND)
        return error_set(err, EOPNOTSUPP,
                "criu is not installed, and checkpoint and restore need it: install the package "
                "criu");
    if (WIFEXITED(status) && WEXITSTATUS(status) == NO_PLACE)
        return error_set(err, EIO, "criu cannot be started in a mount namespace of its own");
    return talk->answer.kind == talk->call->kind && talk->answer.success ? 0 : explain(talk, err);
}

int criu_inherit(struct criu_call *call, int fd, const char *key, struct error *err)
{
    if (call->count == CRIU_INHERITED_MAX)
        return error_set(err, E2BIG, "more than %d descriptors for criu", CRIU_INHERITED_MAX);
    int copy = fcntl(fd, F_DUPFD, INHERITED_FIRST);
    if (copy < 0)
        return error_sys(err, errno, "copy descriptor %d for criu", fd);
    call->inherited[call->count++] = copy;
    criu_add_inherited(&call->options, key, copy);
    return 0;
}

void criu_end(struct criu_call *call)
{
    while (call->count)
        close(call->inherited[--call->count]);
    cleanup_close(&call->images_fd);
    cleanup_close(&call->work_fd);
    cleanup_close(&call->mounts);
    buf_free(&call->options);
}

int criu_run(struct criu_call *call, pid_t *ret_pid, struct error *err)
{
    struct talk talk = {.call = call, .sock = -1, .output = -1};
    int status = 0;
    pid_t pid = 0;
    int r = prepare_place(call, err);

    if (r == 0)
        r = start(&talk, &pid, err);
    if (r == 0)
        r = converse(&talk, err);
    cleanup_close(&talk.sock); /* it ends then, at the latest */
    if (pid > 0 && TEMP_FAILURE_RETRY(waitpid(pid, &status, 0)) < 0 && r >= 0)
        r = error_sys(err, errno, "wait for criu");
    if (r >= 0 || (r == -EPIPE && WIFEXITED(status) && WEXITSTATUS(status)))
        r = judge(&talk, status, err);
    cleanup_close(&talk.output);
    if (r == 0 && ret_pid)
        *ret_pid = talk.answer.pid;
    return r;
}
