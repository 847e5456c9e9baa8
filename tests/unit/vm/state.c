#include "vm/state.h"

#include "test.h"

struct thing {
    uint8_t small;
    uint64_t large;
    bool flag;
    uint16_t list[3];
};

static const struct state_field fields[] = {
        STATE_FIELD(struct thing, small),
        STATE_FIELD(struct thing, large),
        STATE_FLAG(struct thing, flag),
        STATE_FIELD(struct thing, list),
};
static const struct state_table table = STATE_TABLE("thing", fields);

static const struct thing one = {1, 0x123456789abcdefULL, true, {1, 2, 3}};
static const struct thing two = {2, 0, false, {7, 8, 9}};

static void put_both(struct buf *buf)
{
    state_put(buf, &table, 0, &one);
    state_put(buf, &table, 5, &two);
}

TEST(state_goes_round)
{
    _cleanup_buf_ struct buf buf = {0};
    struct state state;
    struct thing thing = {0};

    put_both(&buf);
    CHECK_INT(state_open(&state, buf.data, buf.length, NULL), 0);
    CHECK_INT(state_get(&state, &table, 5, &thing, NULL), 0);
    CHECK_INT(thing.list[2], 9);
    CHECK_INT(state_get(&state, &table, 0, &thing, NULL), 0);
    CHECK_INT(thing.small, 1);
    CHECK_INT(thing.large, 0x123456789abcdefULL);
    CHECK(thing.flag);
    CHECK_INT(state_get(&state, &table, 1, &thing, NULL), -ENOENT);
}

TEST(bytes_of_any_length_go_round)
{
    _cleanup_buf_ struct buf buf = {0};
    struct state state;
    const void *data;
    size_t length;

    put_both(&buf);
    state_put_bytes(&buf, "own", 3, "names", 5);
    state_put_bytes(&buf, "own", 4, "", 0);
    CHECK_INT(state_open(&state, buf.data, buf.length, NULL), 0);
    CHECK_INT(state_get_bytes(&state, "own", 3, &data, &length, NULL), 0);
    CHECK(length == 5 && memcmp(data, "names", 5) == 0);
    CHECK_INT(state_get_bytes(&state, "own", 4, &data, &length, NULL), 0);
    CHECK_INT(length, 0);
    CHECK_INT(state_get_bytes(&state, "own", 5, &data, &length, NULL), -ENOENT);
    CHECK_INT(state_get_bytes(&state, "thing", 0, &data, &length, NULL), -EBADMSG);
}

TEST(state_that_does_not_fit_is_refused)
{
    static const struct state_field larger[] = {
            STATE_FIELD(struct thing, small),
            {"large", STATE_BYTES, offsetof(struct thing, large), 4},
    };
    static const struct state_field more[] = {
            STATE_FIELD(struct thing, small),
            {"new", STATE_BYTES, offsetof(struct thing, large), 8},
    };
    static const struct state_table tables[] = {
            STATE_TABLE("thing", larger), STATE_TABLE("thing", more)};
    static const char *const texts[] = {
            "thing 0 of the snapshot: large has another size",
            "thing 0 of the snapshot: new is missing",
    };
    _cleanup_buf_ struct buf buf = {0};
    struct state state;

    put_both(&buf);
    CHECK_INT(state_open(&state, buf.data, buf.length, NULL), 0);
    for (int i = 0; i < 2; i++) {
        struct thing thing = {0};
        struct error err = ERROR_NONE;
        CHECK_INT(state_get(&state, &tables[i], 0, &thing, &err), -EBADMSG);
        CHECK_STR(err.text, texts[i]);
        CHECK_INT(thing.small, 0); /* unchanged */
    }
}

TEST(state_flags_are_zero_or_one)
{
    _cleanup_buf_ struct buf buf = {0};
    struct state state;
    struct thing thing = one;

    memset(&thing.flag, 2, 1);
    state_put(&buf, &table, 0, &thing);
    CHECK_INT(state_open(&state, buf.data, buf.length, NULL), 0);
    struct error err = ERROR_NONE;
    CHECK_INT(state_get(&state, &table, 0, &thing, &err), -EBADMSG);
    CHECK_STR(err.text, "thing 0 of the snapshot: flag is no boolean");
}

/* Each cut is noticed unless it is between two sections. */
TEST(state_cut_short_is_noticed)
{
    _cleanup_buf_ struct buf buf = {0};
    struct state state;

    put_both(&buf);
    for (size_t length = 1; length < buf.length; length++)
        CHECK_INT(state_open(&state, buf.data, length, NULL),
                length == buf.length / 2 ? 0 : -EBADMSG);
}

TEST_MAIN()
