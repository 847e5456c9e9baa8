/* The host's clocks as machines need them. Any thread. */
#pragma once

#include <stdint.h>

/* Nanoseconds of CLOCK_MONOTONIC. */
uint64_t clock_now_ns(void);

/* Nanoseconds since 1970. */
uint64_t clock_wall_ns(void);

/* The time stamp counter, and its frequency, measured against CLOCK_MONOTONIC_RAW in 20 ms to some
 * parts in a million. */
uint64_t clock_tsc(void);
uint64_t clock_measure_tsc_khz(void);
