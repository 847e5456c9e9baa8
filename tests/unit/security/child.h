/*
 * For tests of what a process does to itself: runs a function in a forked child, whose standard
 * output is read back. A child that hangs is killed.
 */
#pragma once

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "plan/run.h"

#define CHILD_SECONDS 300

/* The child's wait status; what it printed is in `text`. The function's result is its exit code. */
static inline int child_run(int (*function)(void *data), void *data, char *text, size_t size)
{
    int pipe_fds[2];
    size_t length = 0;
    int status = -1;

    if (pipe(pipe_fds) < 0)
        return -1;
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        alarm(CHILD_SECONDS);
        dup2(pipe_fds[1], 1);
        close(pipe_fds[0]);
        close(pipe_fds[1]);
        int r = function(data);
        fflush(stdout);
        _exit(r);
    }
    close(pipe_fds[1]);
    for (ssize_t got; length + 1 < size; length += (size_t)got)
        if ((got = read(pipe_fds[0], text + length, size - 1 - length)) <= 0)
            break;
    text[length] = 0;
    close(pipe_fds[0]);
    waitpid(pid, &status, 0);
    return status;
}

/* Applies all steps of a plan in this process, as a child does that owns every place. Prints the
 * error of the one that fails. */
static inline int apply_here(struct plan_run *run)
{
    struct error err = ERROR_NONE;

    for (size_t i = 0; i < run->plan->count; i++) {
        int r = plan_apply_step(run, i, &err);
        if (r < 0) {
            printf("%s\n", err.text);
            fflush(stdout);
            return err.exit_status ? err.exit_status : 1;
        }
    }
    return 0;
}
