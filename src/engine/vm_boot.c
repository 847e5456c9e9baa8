#include "engine/vm_boot.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "engine/machine.h"
#include "engine/vm_template.h"
#include "proto/agent.h"
#include "proto/lastwords.h"

#define SEED_SIZE 32

static int64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

/* Waits until the agent says something, or the machine is gone. */
static int wait_for_boot(int link, struct lastwords *words, struct error *err)
{
    struct pollfd ready[2] = {{.fd = link, .events = POLLIN}, {.fd = words->fd, .events = POLLIN}};
    int64_t deadline = now_ns() + VM_PATIENCE_MS * INT64_C(1000000);

    while (!ready[0].revents) {
        int64_t left = (deadline - now_ns()) / 1000000;
        int r = poll(ready, 2, left > 0 ? (int)left : 0);
        if (r < 0 && errno != EINTR)
            return error_sys(err, errno, "wait for the machine");
        if (r == 0)
            return error_set(
                    err, ETIMEDOUT, "the machine did not boot within %d s", VM_PATIENCE_MS / 1000);
        if (r > 0 && ready[1].revents && !lastwords_read(words))
            ready[1].fd = -1;
    }
    return 0;
}

static int greet(
        struct vm *vm, const struct plan_run *run, struct agent_link *link, struct error *err)
{
    _cleanup_arena_ struct arena arena = {0};
    _cleanup_buf_ struct buf out = {0};
    struct agent_frame frame;
    struct agent_hello hello;
    unsigned char seed[SEED_SIZE];
    struct timespec now;
    int r = agent_expect(link, VM_PATIENCE_MS, AGENT_HELLO, &frame, err);

    if (r == 0)
        r = agent_read(&frame, &agent_hello_record, &arena, &hello, err);
    if (r < 0)
        return r;
    if (hello.version != AGENT_VERSION)
        return error_set(err, EPROTONOSUPPORT,
                "the agent in %s speaks version %u of the protocol, this viv %d: build or install "
                "both anew",
                vm->machine.initrd.path, hello.version, AGENT_VERSION);
    vm_keep_template(vm, run); /* before it has an identity of its own */
    clock_gettime(CLOCK_REALTIME, &now);
    bool random = getrandom(seed, sizeof(seed), 0) == sizeof(seed);
    struct agent_welcome welcome = {
            .version = AGENT_VERSION,
            .seed = random ? agent_hex(&arena, seed, sizeof(seed)) : NULL,
            .seconds = now.tv_sec,
            .nanoseconds = now.tv_nsec,
    };
    agent_put_record(&out, AGENT_WELCOME, &agent_welcome_record, &welcome);
    return agent_send(link, &out, err);
}

/* A viv-vmm that has closed the agent's stream is about to say why, and to end. */
static int did_not_come_up(const struct vm *vm, const struct plan_run *run, struct lastwords *words,
        int r, struct error *err)
{
    if (vm_has_template(vm, run))
        template_drop(&vm->template); /* the next one boots */
    if (r == -ECONNRESET || r == -EPIPE)
        lastwords_finish(words, LASTWORDS_PATIENCE_MS);
    else
        (void)lastwords_read(words);
    error_prefix(err, "the machine did not come up");
    const char *said = lastwords_line(words);
    return *said ? error_append(err, "; it said: %s", said) : r;
}

/* The child that has started viv-vmm knows it, and cannot say it itself. */
static void tell_uncaged(struct vm *vm, struct plan_run *run)
{
    eventfd_t count;

    vm->uncaged = eventfd_read(run->fds[vm->uncaged_slot], &count) == 0;
    if (vm->uncaged)
        strv_add(vm->arena, &vm->making->built.warnings, ENGINE_MACHINE_UNCAGED);
    cleanup_close(&run->fds[vm->uncaged_slot]);
}

int vm_carry_machine(
        struct plan_run *run, size_t from, size_t to, int64_t *ret_ns, struct error *err)
{
    struct vm *vm = run->carrier_data[STEP_MACHINE];
    _cleanup_(agent_link_free) struct agent_link link = {.fd = run->fds[vm->host_slot]};
    _cleanup_lastwords_ struct lastwords words = {.fd = run->fds[vm->log_slot]};
    int64_t start = now_ns();

    if (vm->greeted)
        return plan_faults_check(run, from, to, err);
    cleanup_close(&run->fds[vm->vmm_slot]); /* else its end would not show */
    cleanup_close(&run->fds[vm->log_end_slot]);
    int r = wait_for_boot(link.fd, &words, err);
    if (r == 0)
        r = greet(vm, run, &link, err);
    if (r < 0)
        return did_not_come_up(vm, run, &words, r, err);
    cleanup_close(&run->fds[vm->log_slot]);
    tell_uncaged(vm, run);
    vm->greeted = true;
    *ret_ns = now_ns() - start;
    return plan_faults_check(run, from, to, err);
}
