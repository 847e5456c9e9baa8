#include "image/helper.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/str.h"

#define PATIENCE_MS 60000
#define OUTPUT_LIMIT ((size_t)64 << 10)

static int start(const char *program, const char *verb, int input, int output, pid_t *ret)
{
    char *const argv[] = {(char *)(uintptr_t)program, (char *)(uintptr_t)verb, NULL};
    posix_spawn_file_actions_t actions;

    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, input, STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
    int r = posix_spawnp(ret, program, &actions, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    return -r;
}

static int64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Reads until the other end is closed or the patience ends. */
static int read_answer(int fd, struct buf *output)
{
    int64_t end = now_ms() + PATIENCE_MS;
    char chunk[4096];

    for (;;) {
        struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
        int64_t left = end - now_ms();
        int ready = left > 0 ? poll(&poll_fd, 1, (int)left) : 0;
        if (ready < 0 && errno == EINTR)
            continue;
        if (ready == 0)
            return -ETIMEDOUT;
        ssize_t got = read(fd, chunk, sizeof(chunk));
        if (got < 0 && errno != EINTR)
            return -errno;
        if (got == 0)
            return 0;
        if (got > 0)
            buf_add(output, chunk, (size_t)got);
        if (output->overflow)
            return -EFBIG;
    }
}

static int judge(const char *program, const char *verb, int answer, int status, struct buf *output,
        struct error *err)
{
    if (answer < 0)
        return error_sys(err, -answer, "read what %s %s answers", program, verb);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return 0;
    const char *text = buf_text(output);
    int length = (int)strcspn(text, "\r\n");
    return error_set(err, EREMOTEIO, "%s %s failed: %.*s", program, verb,
            length < 500 ? length : 500, length ? text : "it said nothing");
}

int helper_run(const char *name, const char *verb, const char *input, struct buf *output,
        struct error *err)
{
    char program[256];
    int to[2];
    int from[2];
    pid_t pid;
    int status = 0;

    if (str_empty(name) || strchr(name, '/') ||
            snprintf(program, sizeof(program), "docker-credential-%s", name) >=
                    (int)sizeof(program))
        return error_set(err, EINVAL, "\"%s\" cannot name a credential helper", name ? name : "");
    if (strlen(input) > 4096) /* what a pipe takes without a reader */
        return error_set(err, EINVAL, "%s: more input than a helper takes", program);
    if (pipe2(to, O_CLOEXEC) < 0)
        return error_sys(err, errno, "pipe");
    _cleanup_close_ int to_read = to[0];
    _cleanup_close_ int to_write = to[1];
    if (pipe2(from, O_CLOEXEC) < 0)
        return error_sys(err, errno, "pipe");
    _cleanup_close_ int from_read = from[0];
    _cleanup_close_ int from_write = from[1];
    int r = start(program, verb, to_read, from_write, &pid);
    if (r < 0)
        return error_sys(err, -r, "start the credential helper %s", program);
    close(take_fd(&from_write));
    io_write_all(to_write, input, strlen(input)); /* to_read is open here: never SIGPIPE */
    close(take_fd(&to_write));
    output->max = OUTPUT_LIMIT;
    int answer = read_answer(from_read, output);
    if (answer < 0)
        kill(pid, SIGKILL);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return judge(program, verb, answer, status, output, err);
}
