#include "proto/carry.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "test.h"

/* Two carriers on one loop, joined by a socket pair: what goes into one comes out of the other. */
struct side {
    struct loop *loop;
    struct carry *carry;
    int lost, signals;
};

static int on_frame(void *data, const struct agent_frame *frame)
{
    struct side *side = data;

    if (frame->type != AGENT_SIGNAL)
        return -EPROTO;
    side->signals++;
    loop_quit(side->loop, 0);
    return 0;
}

static void on_lost(void *data, int reason)
{
    struct side *side = data;

    side->lost = reason;
    loop_quit(side->loop, 0);
}

static void on_moved(void *data)
{
    const struct side *side = data;

    (void)side;
}

static void make_sides(struct side sides[2], int link[2])
{
    struct loop *loop;

    loop_new(&loop, NULL);
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, link) < 0)
        abort();
    for (int i = 0; i < 2; i++) {
        sides[i] = (struct side){.loop = loop};
        struct carry_config config = {loop, link[i], &sides[i], on_frame, on_lost, on_moved, false};
        if (carry_new(&config, &sides[i].carry, NULL) < 0)
            abort();
    }
}

static void free_sides(struct side sides[2], int link[2])
{
    for (int i = 0; i < 2; i++) {
        carry_free(sides[i].carry);
        close(link[i]);
    }
    loop_free(sides[0].loop);
}

TEST(a_file_arrives_whole)
{
    struct side sides[2];
    int link[2], out[2];
    size_t total = 3 << 20;
    char *data = malloc(total);
    int in = memfd_create("in", MFD_CLOEXEC);
    int copy = memfd_create("out", MFD_CLOEXEC);

    for (size_t i = 0; i < total; i++)
        data[i] = (char)(i * 7 + i / 251);
    CHECK(write(in, data, total) == (ssize_t)total && lseek(in, 0, SEEK_SET) == 0);
    make_sides(sides, link);
    CHECK(pipe2(out, O_CLOEXEC) == 0);
    carry_sink(sides[1].carry, 1, copy, false);
    carry_source(sides[0].carry, 1, in);
    carry_send(sides[0].carry, AGENT_SIGNAL, "\1\0\0\0", 4); /* may overtake, and ends the loop */
    while (lseek(copy, 0, SEEK_END) < (off_t)total) {
        CHECK_INT(sides[0].lost | sides[1].lost, 0);
        carry_send(sides[0].carry, AGENT_SIGNAL, "\1\0\0\0", 4);
        CHECK_INT(loop_run(sides[0].loop), 0);
    }
    char *got = malloc(total);
    CHECK(pread(copy, got, total, 0) == (ssize_t)total);
    CHECK(memcmp(got, data, total) == 0);
    CHECK(carry_sources_ended(sides[0].carry));
    free_sides(sides, link);
    free(data);
    free(got);
    close(in);
    close(copy);
    close(out[0]);
    close(out[1]);
}

TEST(a_stream_that_is_not_taken_stops_itself_alone)
{
    struct side sides[2];
    int link[2], full[2];
    int endless = open("/dev/zero", O_RDONLY | O_CLOEXEC);

    make_sides(sides, link);
    CHECK(pipe2(full, O_CLOEXEC) == 0);
    carry_sink(sides[1].carry, 1, full[1], false);
    carry_source(sides[0].carry, 1, endless);
    for (int i = 0; i < 50; i++) {
        carry_send(sides[0].carry, AGENT_SIGNAL, "\1\0\0\0", 4);
        CHECK_INT(loop_run(sides[0].loop), 0);
    }
    CHECK_INT(sides[1].signals, 50);
    CHECK_INT(sides[0].lost | sides[1].lost, 0);
    free_sides(sides, link);
    close(endless);
    close(full[0]);
    close(full[1]);
}

TEST(more_than_the_window_breaks_the_connection)
{
    static const char data[AGENT_DATA_MAX];
    struct side sides[2];
    struct buf frames = {0};
    int link[2], full[2];

    make_sides(sides, link);
    CHECK(pipe2(full, O_CLOEXEC | O_NONBLOCK) == 0);
    while (write(full[1], data, sizeof(data)) > 0)
        ;
    carry_sink(sides[1].carry, 1, full[1], false);
    for (int i = 0; i < 8; i++)
        agent_put(&frames, AGENT_DATA, 1, data, sizeof(data));
    carry_send_buf(sides[0].carry, &frames);
    while (!sides[1].lost)
        CHECK_INT(loop_run(sides[0].loop), 0);
    CHECK_INT(sides[1].lost, -EPROTO);
    buf_free(&frames);
    free_sides(sides, link);
    close(full[0]);
    close(full[1]);
}

/* ---- taking over ---- */

#define TOTAL 700000

/* What a machine's snapshot does: the agent's carrier loses its link in the middle, and another one
 * goes on with its streams. */
struct takeover {
    struct side agent, host, next_agent, next_host;
    struct loop *loop;
    int links[4], sink, given;
};

static void make_side(struct takeover *t, struct side *side, int link, bool keeps)
{
    struct carry_config config = {t->loop, link, side, on_frame, on_lost, on_moved, keeps};

    *side = (struct side){.loop = t->loop};
    if (carry_new(&config, &side->carry, NULL) < 0)
        abort();
}

static char byte_at(size_t i)
{
    return (char)(i * 7 + i / 251);
}

static void begin_takeover(struct takeover *t)
{
    char *data = malloc(TOTAL);

    loop_new(&t->loop, NULL);
    t->given = memfd_create("given", MFD_CLOEXEC);
    t->sink = memfd_create("sink", MFD_CLOEXEC);
    for (size_t i = 0; i < TOTAL; i++)
        data[i] = byte_at(i);
    if (write(t->given, data, TOTAL) != TOTAL || lseek(t->given, 0, SEEK_SET) != 0 ||
            socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, t->links) < 0 ||
            socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, t->links + 2) < 0)
        abort();
    free(data);
    make_side(t, &t->agent, t->links[0], true);
    make_side(t, &t->host, t->links[1], false);
    carry_sink(t->host.carry, 1, t->sink, false);
    carry_source(t->agent.carry, 1, t->given);
}

/* Both sides move until the sink has so much, or one of them is lost. */
static void run_until(struct takeover *t, struct side *from, const struct side *to, off_t length)
{
    while (lseek(t->sink, 0, SEEK_END) < length && !to->lost) {
        carry_send(from->carry, AGENT_SIGNAL, "\1\0\0\0", 4);
        loop_run(t->loop);
    }
}

/* The host's end is gone; what has come out by then. */
static size_t end_host(struct takeover *t)
{
    carry_free(t->host.carry);
    shutdown(t->links[1], SHUT_RDWR);
    return (size_t)lseek(t->sink, 0, SEEK_END);
}

static size_t take_over(struct takeover *t, uint64_t passed)
{
    uint64_t known[AGENT_STREAMS] = {0, passed, 0}, from[AGENT_STREAMS];

    while (!t->agent.lost)
        loop_run(t->loop);
    make_side(t, &t->next_agent, t->links[2], true);
    make_side(t, &t->next_host, t->links[3], false);
    carry_sink(t->next_host.carry, 1, t->sink, false);
    carry_take_over(t->next_agent.carry, t->agent.carry, known, from);
    carry_free(t->agent.carry);
    carry_send_again(t->next_agent.carry);
    return (size_t)from[1];
}

static void end_takeover(struct takeover *t)
{
    carry_free(t->next_agent.carry);
    carry_free(t->next_host.carry);
    loop_free(t->loop);
    for (int i = 0; i < 4; i++)
        close(t->links[i]);
    close(t->given);
    close(t->sink);
}

/* The sink has the bytes up to `first`, and again those from `again` on, to the end. */
static void check_sink(const struct takeover *t, size_t first, size_t again)
{
    size_t total = first + TOTAL - again;
    char *got = malloc(total + 1);

    CHECK_INT(pread(t->sink, got, total + 1, 0), (ssize_t)total);
    size_t wrong = 0;
    for (size_t i = 0; i < total; i++)
        wrong += got[i] != byte_at(i < first ? i : again + i - first);
    CHECK_INT(wrong, 0);
    free(got);
}

TEST(streams_that_are_taken_over_lose_and_double_nothing)
{
    for (off_t cut = 1; cut < TOTAL; cut += 90001) {
        struct takeover t;
        begin_takeover(&t);
        run_until(&t, &t.agent, &t.host, cut);
        size_t passed = end_host(&t);
        CHECK_INT(take_over(&t, passed), passed);
        run_until(&t, &t.next_agent, &t.next_host, TOTAL);
        CHECK_INT(t.next_agent.lost | t.next_host.lost, 0);
        check_sink(&t, passed, passed);
        CHECK(carry_sources_ended(t.next_agent.carry));
        end_takeover(&t);
    }
}

TEST(who_does_not_know_what_was_passed_on_gets_what_was_not_acknowledged)
{
    struct takeover t;

    begin_takeover(&t);
    run_until(&t, &t.agent, &t.host, 300000);
    size_t passed = end_host(&t);
    size_t from = take_over(&t, 0);
    CHECK(from <= passed && passed - from <= AGENT_WINDOW);
    run_until(&t, &t.next_agent, &t.next_host, (off_t)(passed + TOTAL - from));
    check_sink(&t, passed, from);
    end_takeover(&t);
}

TEST(what_was_passed_on_later_than_here_is_not_sent_again)
{
    struct takeover t;

    begin_takeover(&t);
    run_until(&t, &t.agent, &t.host, 300000);
    size_t passed = end_host(&t);
    size_t from = take_over(&t, UINT64_MAX);
    CHECK(from >= passed && from - passed <= AGENT_WINDOW);
    run_until(&t, &t.next_agent, &t.next_host, (off_t)(passed + TOTAL - from));
    check_sink(&t, passed, from);
    end_takeover(&t);
}

TEST(input_that_waits_is_not_part_of_the_next_window)
{
    static const char data[AGENT_DATA_MAX];
    struct side sides[2];
    uint64_t none[AGENT_STREAMS] = {0};
    struct buf frames = {0};
    int link[2], next[2], full[2];

    make_sides(sides, link);
    CHECK(pipe2(full, O_CLOEXEC | O_NONBLOCK) == 0);
    while (write(full[1], data, sizeof(data)) > 0)
        ;
    carry_sink(sides[1].carry, 0, full[1], false);
    for (int i = 0; i < 4; i++) /* a window's worth, which nobody takes */
        agent_put(&frames, AGENT_DATA, 0, data, sizeof(data));
    agent_put(&frames, AGENT_SIGNAL, 0, "\1\0\0\0", 4);
    carry_send_buf(sides[0].carry, &frames);
    while (!sides[1].signals)
        CHECK_INT(loop_run(sides[0].loop), 0);
    struct takeover t = {.loop = sides[0].loop};
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, next) == 0);
    make_side(&t, &t.next_agent, next[0], true);
    make_side(&t, &t.next_host, next[1], false);
    carry_take_over(t.next_agent.carry, sides[1].carry, none, none);
    carry_send_again(t.next_agent.carry);
    for (int i = 0; i < 4; i++) /* and another */
        agent_put(&frames, AGENT_DATA, 0, data, sizeof(data));
    agent_put(&frames, AGENT_SIGNAL, 0, "\1\0\0\0", 4);
    carry_send_buf(t.next_host.carry, &frames);
    while (!t.next_agent.signals && !t.next_agent.lost)
        CHECK_INT(loop_run(t.loop), 0);
    CHECK_INT(t.next_agent.lost, 0);
    carry_free(t.next_agent.carry);
    carry_free(t.next_host.carry);
    free_sides(sides, link);
    buf_free(&frames);
    for (int i = 0; i < 2; i++) {
        close(next[i]);
        close(full[i]);
    }
}

TEST_MAIN()
