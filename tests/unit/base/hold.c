#include "base/hold.h"

#include <sys/wait.h>
#include <unistd.h>

#include "base/loop.h"
#include "test.h"

static void count(struct loop *loop, const struct signalfd_siginfo *info, void *data)
{
    int *sum = data;

    *sum += (int)info->ssi_signo;
    loop_quit(loop, 0);
}

static void hold(int number)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, number);
    hold_signals(&set);
}

TEST(what_came_early_is_delivered_once)
{
    struct loop *loop;
    sigset_t set;
    int sum = 0;

    hold(SIGTERM);
    hold(SIGTERM); /* twice is as once */
    raise(SIGTERM);
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    CHECK_INT(loop_new(&loop, NULL), 0);
    CHECK_INT(loop_add_signals(loop, &set, count, &sum, NULL), 0);
    CHECK_INT(loop_run(loop), 0);
    CHECK_INT(sum, SIGTERM);
    raise(SIGTERM); /* and the next as ever */
    CHECK_INT(loop_run(loop), 0);
    CHECK_INT(sum, 2 * SIGTERM);
    loop_free(loop);
    sigprocmask(SIG_UNBLOCK, &set, NULL);
}

static int status_of(void (*body)(void))
{
    int status = 0;
    pid_t child = fork();

    if (child == 0) {
        body();
        _exit(7);
    }
    if (child < 0 || waitpid(child, &status, 0) != child)
        return -1;
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static void second(void)
{
    hold(SIGUSR1);
    raise(SIGUSR1);
    raise(SIGUSR1);
}

static void nobody_reads(void)
{
    hold(SIGUSR1);
    raise(SIGUSR1);
    hold_end();
}

static void came_after(void)
{
    hold(SIGUSR1);
    hold_end();
    raise(SIGUSR1);
}

static void ignored(void)
{
    signal(SIGUSR1, SIG_IGN);
    hold(SIGUSR1);
    raise(SIGUSR1);
    raise(SIGUSR1);
    hold_end();
}

TEST(otherwise_it_acts_as_usual)
{
    CHECK_INT(status_of(second), 128 + SIGUSR1);
    CHECK_INT(status_of(nobody_reads), 128 + SIGUSR1);
    CHECK_INT(status_of(came_after), 128 + SIGUSR1);
    CHECK_INT(status_of(ignored), 7);
}

TEST_MAIN()
