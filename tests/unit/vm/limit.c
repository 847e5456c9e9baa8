#include "vm/limit.h"

#include "test.h"

#define SECOND UINT64_C(1000000000)

/* How long so many requests of this size take, when each starts as soon as it may. */
static uint64_t take_all(struct limit *limit, unsigned count, uint64_t bytes)
{
    uint64_t now = SECOND, wait;

    for (unsigned i = 0; i < count; i++) {
        while ((wait = limit_wait(limit, now)) > 0)
            now += wait;
        limit_take(limit, bytes);
    }
    return now - SECOND;
}

static void check_rate(struct limit_rate rate, unsigned count, uint64_t bytes, double expected)
{
    struct limit limit;

    limit_init(&limit, rate, SECOND);
    double seconds = (double)take_all(&limit, count, bytes) / (double)SECOND;
    /* a tenth of a second's worth may go at once, and the last one may overdraw */
    CHECK(seconds <= expected && seconds >= expected - 0.2);
}

TEST(no_rate_never_waits)
{
    check_rate((struct limit_rate){0, 0}, 1000, 1 << 20, 0);
}

TEST(bytes_take_their_time)
{
    check_rate((struct limit_rate){.bytes_per_second = 1000000}, 500, 10000, 5);
}

TEST(operations_take_their_time_whatever_their_size)
{
    check_rate((struct limit_rate){.operations_per_second = 100}, 300, 1, 3);
}

TEST(the_tighter_of_both_counts)
{
    check_rate((struct limit_rate){1000000, 1000}, 100, 20000, 2);
    check_rate((struct limit_rate){1000000, 10}, 20, 20000, 2);
}

TEST(what_was_not_used_is_no_credit_beyond_the_burst)
{
    struct limit limit;

    limit_init(&limit, (struct limit_rate){.operations_per_second = 100}, 0);
    CHECK_INT(limit_wait(&limit, 1000 * SECOND), 0);
    for (int i = 0; i < 11; i++) /* ten at once, and one on credit */
        limit_take(&limit, 1);
    CHECK(limit_wait(&limit, 1000 * SECOND) > 0);
}

TEST_MAIN()
