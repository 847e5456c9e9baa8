/* The two ends of the channel between the host's process and the child; see run.h. */
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "plan/run.h"

#define FDS_AT_ONCE 16

struct order {
    size_t from; /* from == to: only descriptors are handed over */
    size_t to;
    int slots[FDS_AT_ONCE]; /* where the descriptors that come along belong */
};

/* The answer without its error's text when all went well, so that it stays small. */
struct answer {
    int64_t ns;
    bool detached; /* the child goes on alone from here */
    struct error err;
};
#define ANSWER_OK_SIZE offsetof(struct answer, err.text)

static int64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

/* The channel closed without an answer: the workload has taken over, or the child has died. */
static int child_gone(struct plan_run *run, size_t to, struct error *err)
{
    siginfo_t info = {0};

    if (to == run->plan->count)
        return 0; /* execve closed it; a workload may well have ended by now */
    if (waitid(P_PID, (id_t)run->child, &info, WEXITED | WNOWAIT) < 0)
        return error_sys(err, errno, "wait for the child");
    if (info.si_code == CLD_EXITED)
        return error_set(
                err, EPIPE, "the child ended with status %d during the set-up", info.si_status);
    return error_set(err, EPIPE, "the child was killed by signal %d (%s) during the set-up%s",
            info.si_status, strsignal(info.si_status),
            info.si_status == SIGKILL ? "; a memory limit below what the set-up needs does that"
                                      : "");
}

void plan_child_made(struct plan_run *run)
{
    for (int i = 0; i < run->plan->slots; i++)
        run->child_has[i] = run->fds[i] >= 0;
}

static int send_order(struct plan_run *run, size_t from, size_t to)
{
    struct order order = {.from = from, .to = from};
    int fds[FDS_AT_ONCE];
    size_t count = 0;

    for (int slot = 0; slot < run->plan->slots; slot++) {
        if (run->fds[slot] < 0 || run->child_has[slot])
            continue;
        if (count == FDS_AT_ONCE) {
            int r = io_send_fds(run->channel, &order, sizeof(order), fds, count);
            if (r < 0)
                return r;
            count = 0;
        }
        order.slots[count] = slot;
        fds[count++] = run->fds[slot];
        run->child_has[slot] = true;
    }
    order.to = to;
    return io_send_fds(run->channel, &order, sizeof(order), fds, count);
}

/* Only when the child no longer has it does the close here do the work. */
static void close_slow(struct plan_run *run)
{
    char told;

    if (run->slow_fd == 0)
        return;
    while (recv(run->channel, &told, sizeof(told), 0) < 0 && errno == EINTR)
        ;
    close(run->slow_fd);
    run->slow_fd = 0;
}

int plan_carry_to_child(
        struct plan_run *run, size_t from, size_t to, int64_t *ret_ns, struct error *err)
{
    struct answer answer;

    if (send_order(run, from, to) < 0)
        return child_gone(run, 0, err);
    close_slow(run);
    ssize_t got;
    do
        got = recv(run->channel, &answer, sizeof(answer), 0);
    while (got < 0 && errno == EINTR);
    if (got < (ssize_t)ANSWER_OK_SIZE)
        return child_gone(run, to, err);
    *ret_ns = answer.ns;
    run->detached = answer.detached;
    if (answer.err.errnum == 0)
        return 0;
    if (err)
        *err = answer.err;
    return -answer.err.errnum;
}

static void answer_host(struct plan_run *run, const struct answer *answer)
{
    size_t size = answer->err.errnum ? sizeof(*answer) : ANSWER_OK_SIZE;

    if (run->channel >= 0 && send(run->channel, answer, size, MSG_NOSIGNAL) < 0)
        _exit(1); /* the host is gone, nobody needs this child */
}

static int serve_order(struct plan_run *run, const struct order *order, struct error *err)
{
    for (size_t i = order->from; i < order->to; i++) {
        int r = plan_apply_step(run, i, err);
        if (r < 0)
            return r;
        run->applied = i + 1;
    }
    return 0;
}

/* After plan_child_detach: the steps that are left, and their error to whoever waits for it. */
static void serve_detached(struct plan_run *run, int result, struct error *err)
{
    struct order rest = {.from = run->applied, .to = run->plan->count};

    if (result == 0)
        result = serve_order(run, &rest, err);
    if (result < 0 && run->report_fd >= 0)
        io_write_all(run->report_fd, err->text, strlen(err->text));
    _exit(err->exit_status ? err->exit_status : 1);
}

static void receive_order(struct plan_run *run, struct order *order)
{
    int fds[FDS_AT_ONCE];
    size_t count;
    ssize_t got;

    do
        got = io_receive_fds(run->channel, order, sizeof(*order), fds, FDS_AT_ONCE, &count);
    while (got == -EINTR);
    if (got != sizeof(*order) || order->from > order->to || order->to > run->plan->count)
        _exit(1);
    for (size_t i = 0; i < count; i++)
        run->fds[order->slots[i]] = fds[i];
}

void plan_child_begin(struct plan_run *run)
{
    if (run->slow_fd == 0)
        return;
    close(run->slow_fd);
    run->slow_fd = 0;
    if (send(run->channel, "", 1, MSG_NOSIGNAL) < 0)
        _exit(1);
}

void plan_serve_child(struct plan_run *run)
{
    struct order order;

    for (;;) {
        receive_order(run, &order);
        if (order.from == order.to)
            continue;
        int64_t start = run->watch ? now_ns() : 0;
        struct answer answer = {.err = ERROR_NONE};
        run->applied = order.from;
        int r = serve_order(run, &order, &answer.err);
        if (run->channel < 0)
            serve_detached(run, r, &answer.err);
        if (r == 0)
            answer.err.errnum = 0; /* a step may have met an error and helped itself */
        answer.ns = run->watch ? now_ns() - start : 0;
        answer_host(run, &answer);
        if (r < 0)
            _exit(1);
    }
}

int plan_child_detach(struct plan_run *run, int report_fd, struct error *err)
{
    struct answer answer = {.detached = true, .err = ERROR_NONE};

    if (run->channel < 0)
        return error_set(err, ENOTCONN, "the host has gone already");
    answer_host(run, &answer);
    cleanup_close(&run->channel);
    run->report_fd = report_fd;
    return 0;
}
