#include "vm/clock.h"

#include <time.h>
#include <x86intrin.h>

#define NS_PER_S 1000000000ULL
#define MEASURE_NS 20000000L
#define TRIES 8

static uint64_t read_clock(clockid_t id)
{
    struct timespec now;

    clock_gettime(id, &now);
    return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

uint64_t clock_now_ns(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

uint64_t clock_wall_ns(void)
{
    return read_clock(CLOCK_REALTIME);
}

uint64_t clock_tsc(void)
{
    return __rdtsc();
}

/* One moment on both clocks: the closest of some tries, since the thread may be interrupted between
 * the two readings. */
static void read_both(uint64_t *ret_tsc, uint64_t *ret_ns)
{
    uint64_t best = UINT64_MAX;

    for (int i = 0; i < TRIES; i++) {
        uint64_t before = __rdtsc();
        uint64_t ns = read_clock(CLOCK_MONOTONIC_RAW);
        uint64_t after = __rdtsc();
        if (after - before >= best)
            continue;
        best = after - before;
        *ret_tsc = before + best / 2;
        *ret_ns = ns;
    }
}

uint64_t clock_measure_tsc_khz(void)
{
    uint64_t tsc[2] = {0, 0}, ns[2] = {0, 0};
    struct timespec pause = {0, MEASURE_NS};

    read_both(&tsc[0], &ns[0]);
    while (nanosleep(&pause, &pause) < 0)
        continue;
    read_both(&tsc[1], &ns[1]);
    return (uint64_t)((__uint128_t)(tsc[1] - tsc[0]) * 1000000 / (ns[1] - ns[0]));
}
