#include "container/criu.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/io.h"
#include "sys/mount.h"
#include "sys/process.h"

#define PROGRAM "criu"
#define OUTPUT_MAX 65536
#define NOT_FOUND 127
#define NO_MOUNT 126
#define LINES_TOLD 3
#define INHERITED_FIRST 64 /* criu's own are below */

/* The root as a mount of its own, where CRIU's changes stay unseen. */
static int own_root(const char *root, const char *place)
{
    int r = sys_unshare(CLONE_NEWNS);

    if (r == 0)
        r = sys_mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL);
    return r < 0 ? r : sys_mount(root, place, NULL, MS_BIND | MS_REC, NULL);
}

/* In the child: never returns. */
static void become_criu(const struct strv *words, const struct criu_call *call, int output)
{
    const char *root = call->root, *place = call->place;

    if (dup2(output, 1) < 0 || dup2(output, 2) < 0)
        _exit(NO_MOUNT);
    int r = root ? own_root(root, place) : 0;
    if (r < 0) {
        dprintf(2, "mount %s on %s: %s\n", root, place, error_name(-r));
        _exit(NO_MOUNT);
    }
    execvp(PROGRAM, words->words);
    _exit(NOT_FOUND);
}

/* The last lines of a text. */
static const char *tail(char *text)
{
    size_t length = strlen(text);
    int lines = 0;

    while (length && text[length - 1] == '\n')
        text[--length] = '\0';
    while (length && (text[length - 1] != '\n' || ++lines < LINES_TOLD))
        length--;
    return text + length;
}

/* CRIU checks the kernel first; what it cannot do there it can do nowhere on this machine. */
static bool cannot_work(const char *text)
{
    return strstr(text, "Could not initialize kernel features detection") ||
           strstr(text, "kerndat");
}

static int judge(int status, struct buf *output, struct error *err)
{
    const char *text = buf_text(output);

    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return 0;
    if (WIFEXITED(status) && WEXITSTATUS(status) == NOT_FOUND)
        return error_set(err, EOPNOTSUPP,
                "criu is not installed, and checkpoint and restore need it: install the package "
                "criu");
    if (cannot_work(text))
        return error_set(err, EOPNOTSUPP,
                "this version of CRIU cannot work on this kernel (`criu check` tells more): %s",
                tail(output->data));
    return error_set(
            err, EIO, "criu failed: %s", output->length ? tail(output->data) : "no output");
}

int criu_inherit(
        struct arena *arena, struct criu_call *call, int fd, const char *key, struct error *err)
{
    if (call->count == CRIU_INHERITED_MAX)
        return error_set(err, E2BIG, "more than %d descriptors for criu", CRIU_INHERITED_MAX);
    int copy = fcntl(fd, F_DUPFD, INHERITED_FIRST);
    if (copy < 0)
        return error_sys(err, errno, "copy descriptor %d for criu", fd);
    call->inherited[call->count++] = copy;
    strv_add(arena, &call->words, "--inherit-fd");
    strv_add(arena, &call->words, arena_printf(arena, "fd[%d]:%s", copy, key));
    return 0;
}

void criu_end(struct criu_call *call)
{
    while (call->count)
        close(call->inherited[--call->count]);
}

int criu_run(struct arena *arena, const struct criu_call *call, struct error *err)
{
    _cleanup_buf_ struct buf output = {.max = OUTPUT_MAX};
    struct strv argv = {0};
    const char *word;
    int ends[2], status = 0;

    strv_add(arena, &argv, PROGRAM);
    strv_foreach (word, &call->words) {
        strv_add(arena, &argv, word);
    }
    if (pipe2(ends, O_CLOEXEC) < 0)
        return error_sys(err, errno, "make a pipe for criu");
    pid_t pid = fork();
    if (pid == 0)
        become_criu(&argv, call, ends[1]);
    close(ends[1]);
    _cleanup_close_ int from = ends[0];
    if (pid < 0)
        return error_sys(err, errno, "start criu");
    int r = io_read_fd(from, &output);
    if (TEMP_FAILURE_RETRY(waitpid(pid, &status, 0)) < 0)
        return error_sys(err, errno, "wait for criu");
    return r < 0 && r != -EFBIG ? error_sys(err, -r, "read what criu says")
                                : judge(status, &output, err);
}
