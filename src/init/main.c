/*
 * viv-init: process 1 of a sandbox that was run with --init. Starts the workload, passes signals on
 * to it, reaps whatever is orphaned, and ends with the workload's status.
 *
 *     viv-init -- COMMAND [ARGUMENTS…]
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static pid_t start(char **argv, const sigset_t *signals)
{
    pid_t child = fork();

    if (child != 0)
        return child;
    sigprocmask(SIG_UNBLOCK, signals, NULL);
    setpgid(0, 0);
    if (isatty(0)) {
        signal(SIGTTOU, SIG_IGN);
        tcsetpgrp(0, getpid());
        signal(SIGTTOU, SIG_DFL);
    }
    execvp(argv[0], argv);
    int code = errno;
    fprintf(stderr, "viv-init: exec: \"%s\": %s\n", argv[0], strerror(code));
    _exit(code == ENOENT ? 127 : 126);
}

/* Reaps all that have ended; the workload's status, or -1 while it runs. */
static int reap(pid_t workload)
{
    int status;
    int result = -1;
    pid_t pid;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
        if (pid == workload)
            result = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    return result;
}

int main(int argc, char **argv)
{
    sigset_t signals;
    int first = argc > 1 && strcmp(argv[1], "--") == 0 ? 2 : 1;

    if (first >= argc) {
        fprintf(stderr, "usage: viv-init -- COMMAND [ARGUMENTS...]\n");
        return 125;
    }
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); /* where this is not process 1 (--pid host) */
    sigfillset(&signals);
    sigdelset(&signals, SIGTTIN);
    sigdelset(&signals, SIGTTOU);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    pid_t workload = start(argv + first, &signals);
    if (workload < 0) {
        fprintf(stderr, "viv-init: make a process: %s\n", strerror(errno));
        return 125;
    }
    for (;;) {
        int number = sigwaitinfo(&signals, NULL);
        if (number > 0 && number != SIGCHLD)
            kill(-workload, number);
        int status = reap(workload);
        if (status >= 0)
            return status;
    }
}
