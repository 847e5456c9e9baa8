/*
 * A token bucket for devices: so many bytes and operations in a second, with a burst of a tenth of
 * a second. Belongs to the device's thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* 0 means no limit. */
struct limit_rate {
    uint64_t bytes_per_second;
    uint64_t operations_per_second;
};

struct limit {
    struct limit_rate rate;
    double bytes, operations; /* what is left; may fall below zero by one request */
    uint64_t filled_ns;
};

/* The bucket is full at first; now_ns is any clock that only grows. */
void limit_init(struct limit *limit, struct limit_rate rate, uint64_t now_ns);

/* 0 when a request may start now, else after how many nanoseconds to ask again. */
uint64_t limit_wait(struct limit *limit, uint64_t now_ns);

/* Pays for a request. */
void limit_take(struct limit *limit, uint64_t bytes);
