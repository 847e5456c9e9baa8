#include "container/hooks.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/io.h"
#include "sys/process.h"

#define STDERR_KEPT 1024

static int64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

/* The state goes through a memory file: a hook that never reads cannot block us. */
static int state_file(const char *state)
{
    _cleanup_close_ int fd = memfd_create("state", MFD_CLOEXEC);

    if (fd < 0)
        return -errno;
    int r = io_write_all(fd, state, strlen(state));
    if (r < 0 || lseek(fd, 0, SEEK_SET) < 0)
        return r < 0 ? r : -errno;
    return take_fd(&fd);
}

/* Where an annotation wants a hook's output; -1: nowhere else. An image can bring it (Podman passes
 * such annotations on): a new file is nothing to execute, and no FIFO holds us up. */
static int output_file(const struct spec_state *state, const char *name)
{
    int fd = -1;

    for (size_t i = 0; i < state->annotations.count && fd < 0; i++)
        if (str_equal(state->annotations.items[i].key, name))
            fd = open(state->annotations.items[i].value,
                    O_WRONLY | O_CREAT | O_APPEND | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0600);
    if (fd >= 0)
        fcntl(fd, F_SETFL, O_APPEND);
    return fd;
}

static void become_hook(const struct spec_hook *hook, const struct spec_state *state,
        const char *directory, int input, int output)
{
    int own_output = output_file(state, "run.oci.hooks.stdout");
    int own_errors = output_file(state, "run.oci.hooks.stderr");
    char *no_environment[] = {NULL};
    char *own_name[] = {(char *)(uintptr_t)hook->path, NULL};
    sigset_t none;

    setpgid(0, 0); /* what it starts is killed with it when it is late */
    sys_prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0); /* nobody else knows of it */
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    if (dup2(input, 0) < 0 || dup2(own_errors >= 0 ? own_errors : output, 2) < 0 ||
            (own_output >= 0 && dup2(own_output, 1) < 0) || (directory && chdir(directory) < 0))
        _exit(127);
    sys_close_range(3, ~0U, CLOSE_RANGE_CLOEXEC);
    execve(hook->path, hook->args.count ? hook->args.words : own_name,
            hook->env.count ? hook->env.words : no_environment);
    dprintf(2, "%s", strerror(errno));
    _exit(127);
}

/* Collects stderr until the hook ends or its time is up; what it left running may keep the pipe
 * open, so the end of the process counts, not the end of the pipe. */
static bool watch_hook(int pidfd, int output, int64_t timeout_ms, struct buf *text)
{
    int64_t deadline = timeout_ms > 0 ? now_ms() + timeout_ms : 0;
    struct pollfd fds[2] = {{.fd = pidfd, .events = POLLIN}, {.fd = output, .events = POLLIN}};

    for (;;) {
        int64_t left = deadline ? deadline - now_ms() : -1;
        if (deadline && left <= 0)
            return false;
        int ready = poll(fds, 2, (int)(left > INT32_MAX ? INT32_MAX : left));
        if (ready < 0 && errno != EINTR)
            return false;
        if (ready > 0 && fds[1].revents) {
            char chunk[512];
            ssize_t got = read(output, chunk, sizeof(chunk));
            if (got > 0 && text->length < STDERR_KEPT)
                buf_add(text, chunk, (size_t)got);
            if (got <= 0)
                fds[1].fd = -1;
            continue;
        }
        if (ready > 0 && fds[0].revents)
            return true;
    }
}

static int judge_hook(const struct spec_hook *hook, const siginfo_t *info, bool in_time,
        const struct buf *output, struct error *err)
{
    if (!in_time)
        return error_set(err, ETIMEDOUT, "hook %s did not end within %lld s and was killed",
                hook->path, (long long)hook->timeout.value);
    if (info->si_code == CLD_EXITED && info->si_status == 0)
        return 0;
    error_set(err, EIO, "hook %s %s %d", hook->path,
            info->si_code == CLD_EXITED ? "ended with status" : "was killed by signal",
            info->si_status);
    if (output->length)
        error_append(err, ", stderr: %.*s", STDERR_KEPT, buf_text(output));
    return -EIO;
}

int container_hook_run(const struct spec_hook *hook, const struct spec_state *state,
        const char *directory, struct error *err)
{
    _cleanup_json_ struct json_object *json = spec_state_write(state);
    _cleanup_buf_ struct buf text = {.max = 4 * STDERR_KEPT};
    _cleanup_close_ int input = state_file(json_text(json));
    _cleanup_close_ int pidfd = -1;
    siginfo_t info = {0};
    int output[2];

    if (input < 0)
        return error_sys(err, -input, "hook %s: hand over the state", hook->path);
    if (pipe2(output, O_CLOEXEC) < 0)
        return error_sys(err, errno, "hook %s: make a pipe", hook->path);
    _cleanup_close_ int read_end = output[0];
    struct clone_args args = {
            .flags = CLONE_PIDFD, .pidfd = (uint64_t)(uintptr_t)&pidfd, .exit_signal = SIGCHLD};
    pid_t pid = sys_clone3(&args);
    if (pid == 0)
        become_hook(hook, state, directory, input, output[1]);
    close(output[1]);
    if (pid < 0)
        return error_sys(err, -pid, "hook %s: make a process", hook->path);
    int64_t timeout_ms = hook->timeout.set ? hook->timeout.value * 1000 : 0;
    bool in_time = watch_hook(pidfd, read_end, timeout_ms, &text);
    if (!in_time && kill(-pid, SIGKILL) < 0)
        sys_pidfd_send_signal(pidfd, SIGKILL);
    sys_waitid(P_PIDFD, (id_t)pidfd, &info, WEXITED);
    return judge_hook(hook, &info, in_time, &text, err);
}
