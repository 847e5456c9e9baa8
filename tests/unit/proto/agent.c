#include "proto/agent.h"

#include "test.h"

TEST(a_frame_comes_out_as_it_went_in)
{
    struct buf buf = {0};
    struct agent_frame frame;
    size_t used;

    agent_put(&buf, AGENT_DATA, 2, "abc", 3);
    for (size_t part = 0; part < buf.length; part++)
        CHECK_INT(agent_take(buf.data, part, &frame, &used), 0);
    CHECK_INT(agent_take(buf.data, buf.length, &frame, &used), 1);
    CHECK_INT(frame.type, AGENT_DATA);
    CHECK_INT(frame.stream, 2);
    CHECK_INT(frame.length, 3);
    CHECK_INT(used, buf.length);
    buf_free(&buf);
}

TEST(what_cannot_be_a_frame_is_refused)
{
    static const struct {
        unsigned char head[8];
    } bad[] = {
            {{0, 0, 0, 0, 0, 0, 0, 0}},                      /* no type */
            {{0, 0, 0, 0, AGENT_TYPES, 0, 0, 0}},            /* an unknown one */
            {{1, 0, 1, 0, AGENT_DATA, 0, 0, 0}},             /* longer than data may be */
            {{0, 0, 0, 0, AGENT_DATA, AGENT_STREAMS, 0, 0}}, /* no such stream */
            {{0, 0, 0, 0, AGENT_START, 1, 0, 0}},            /* of no stream */
            {{1, 0, 0, 0, AGENT_START, 0, 0, 0}},            /* takes no data */
            {{0, 0, 0, 0, AGENT_DATA, 0, 1, 0}},             /* the rest is zero */
            {{1, 0, 0x40, 0, AGENT_CREATE, 0, 0, 0}},        /* 4 MiB and one byte */
    };
    struct agent_frame frame;
    size_t used;

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        CHECK_INT(agent_take((const char *)bad[i].head, 8, &frame, &used), -EPROTO);
}

TEST(messages_and_errors_travel)
{
    struct arena arena = {0};
    struct agent_exit end = {.code = 137, .oom_killed = true};
    struct agent_exit got;
    struct error err = ERROR_NONE;
    struct error told = {.errnum = ENOENT, .exit_status = 127, .text = "not there"};
    struct agent_frame frame;
    struct buf buf = {0};
    size_t used;

    agent_put_record(&buf, AGENT_EXIT, &agent_exit_record, &end);
    CHECK_INT(agent_take(buf.data, buf.length, &frame, &used), 1);
    CHECK_INT(agent_read(&frame, &agent_exit_record, &arena, &got, &err), 0);
    CHECK_INT(got.code, 137);
    CHECK(got.oom_killed);
    buf_clear(&buf);
    agent_put_error(&buf, &told);
    CHECK_INT(agent_take(buf.data, buf.length, &frame, &used), 1);
    CHECK_INT(agent_read_error(&frame, &err), -ENOENT);
    CHECK_INT(err.exit_status, 127);
    CHECK_STR(err.text, "not there");
    buf_free(&buf);
    arena_free(&arena);
}

TEST(hexadecimal_there_and_back)
{
    struct arena arena = {0};
    size_t length;
    void *bytes;

    CHECK_STR(agent_hex(&arena, "\x00\xff\x10", 3), "00ff10");
    CHECK_INT(agent_unhex(&arena, "00ff10", &bytes, &length), 0);
    CHECK_INT(length, 3);
    CHECK(memcmp(bytes, "\x00\xff\x10", 3) == 0);
    CHECK_INT(agent_unhex(&arena, "00f", &bytes, &length), -EINVAL);
    CHECK_INT(agent_unhex(&arena, "0g", &bytes, &length), -EINVAL);
    arena_free(&arena);
}

TEST_MAIN()
