/* The carrier of streams (host's and agent's are the same), with a hostile other side: what it
 * sends is the input, cut at odd places; its sources and sinks are pipes. When that side is gone,
 * another one takes the streams over, with the input once more. */
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "proto/carry.h"

#define PIECE 61

struct fuzz {
    struct loop *loop;
    struct carry *carry;
    int link, other; /* ours and the hostile one's */
    const uint8_t *data;
    size_t left;
    bool lost;
};

static int on_frame(void *data, const struct agent_frame *frame)
{
    (void)data;
    return frame->type == AGENT_HELLO ? -EPROTO : 0;
}

static void on_lost(void *data, int reason)
{
    struct fuzz *fuzz = data;

    if (fuzz->lost)
        abort(); /* told twice */
    fuzz->lost = reason < 0;
}

static void on_moved(void *data)
{
    const struct fuzz *fuzz = data;

    if (fuzz->lost)
        abort();
}

/* Another piece of the input, or the end of all. */
static void on_turn(struct loop *loop, void *data)
{
    struct fuzz *fuzz = data;
    size_t length = fuzz->left < PIECE ? fuzz->left : PIECE;
    char sink[4096];

    while (recv(fuzz->other, sink, sizeof(sink), MSG_DONTWAIT) > 0)
        ;
    if (length == 0 || fuzz->lost ||
            send(fuzz->other, fuzz->data, length, MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
        loop_quit(loop, 0);
        return;
    }
    fuzz->data += length;
    fuzz->left -= length;
    (void)loop_add_timer(loop, 0, on_turn, fuzz, NULL);
}

/* What the first bytes say that was passed on. */
static uint64_t said(const uint8_t *data, size_t size)
{
    uint64_t value = 0;

    memcpy(&value, data, size < 3 ? size : 3);
    return value;
}

static void take_over(struct fuzz *fuzz, struct carry_config config, uint64_t passed)
{
    uint64_t known[AGENT_STREAMS] = {passed, passed, 0}, from[AGENT_STREAMS];
    struct carry *next;
    int pair[2];

    shutdown(fuzz->other, SHUT_RDWR);
    for (int i = 0; i < 100 && !fuzz->lost; i++) {
        (void)loop_add_timer(fuzz->loop, 0, on_turn, fuzz, NULL);
        (void)loop_run(fuzz->loop);
    }
    if (!fuzz->lost || socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0)
        return;
    fuzz->lost = false;
    close(fuzz->link);
    close(fuzz->other);
    fuzz->link = config.link = pair[0];
    fuzz->other = pair[1];
    if (carry_new(&config, &next, NULL) < 0)
        abort();
    carry_take_over(next, fuzz->carry, known, from);
    carry_free(fuzz->carry);
    fuzz->carry = next;
    carry_send_again(next);
    (void)loop_add_timer(fuzz->loop, 0, on_turn, fuzz, NULL);
    (void)loop_run(fuzz->loop);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz fuzz = {.data = data, .left = size};
    struct carry_config config = {.data = &fuzz,
            .on_frame = on_frame,
            .on_lost = on_lost,
            .on_moved = on_moved,
            .keeps = true};
    int pair[2], in[2], out[2];

    if (loop_new(&fuzz.loop, NULL) < 0 || socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0 ||
            pipe2(in, O_NONBLOCK) < 0 || pipe2(out, O_NONBLOCK) < 0)
        return 0;
    fuzz.link = config.link = pair[0];
    fuzz.other = pair[1];
    config.loop = fuzz.loop;
    if (write(in[1], "typed", 5) < 0 || carry_new(&config, &fuzz.carry, NULL) < 0)
        return 0;
    carry_source(fuzz.carry, 0, in[0]);
    carry_sink(fuzz.carry, 1, out[1], false);
    (void)loop_add_timer(fuzz.loop, 0, on_turn, &fuzz, NULL);
    (void)loop_run(fuzz.loop);
    fuzz.data = data;
    fuzz.left = size;
    take_over(&fuzz, config, said(data, size));
    carry_free(fuzz.carry);
    loop_free(fuzz.loop);
    close(fuzz.link);
    close(fuzz.other);
    for (int i = 0; i < 2; i++) {
        close(in[i]);
        close(out[i]);
    }
    return 0;
}
