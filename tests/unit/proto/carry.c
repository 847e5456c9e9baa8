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
        struct carry_config config = {loop, link[i], &sides[i], on_frame, on_lost, on_moved};
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

TEST_MAIN()
