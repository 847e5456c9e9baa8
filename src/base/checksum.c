#include "base/checksum.h"

#include <string.h>

#define P1 0x9E3779B185EBCA87ULL
#define P2 0xC2B2AE3D27D4EB4FULL
#define P3 0x165667B19E3779F9ULL
#define P4 0x85EBCA77C2B2AE63ULL
#define P5 0x27D4EB2F165667C5ULL

#define LANES 4
#define STRIPE (LANES * sizeof(uint64_t))

static uint64_t rotate(uint64_t value, unsigned bits)
{
    return value << bits | value >> (64 - bits);
}

static uint64_t load64(const uint8_t *at)
{
    uint64_t value;

    memcpy(&value, at, sizeof(value));
    return value;
}

static uint32_t load32(const uint8_t *at)
{
    uint32_t value;

    memcpy(&value, at, sizeof(value));
    return value;
}

/* All arithmetic is modulo 2^64. */
static uint64_t mix(uint64_t lane, uint64_t input)
{
    return rotate(lane + input * P2, 31) * P1;
}

static uint64_t merge(uint64_t sum, uint64_t lane)
{
    return (sum ^ mix(0, lane)) * P1 + P4;
}

static uint64_t sum_stripes(const uint8_t *at, size_t stripes, uint64_t seed)
{
    uint64_t a = seed + P1 + P2, b = seed + P2, c = seed, d = seed - P1;

    for (size_t i = 0; i < stripes; i++, at += STRIPE) {
        a = mix(a, load64(at));
        b = mix(b, load64(at + 8));
        c = mix(c, load64(at + 16));
        d = mix(d, load64(at + 24));
    }
    uint64_t sum = rotate(a, 1) + rotate(b, 7) + rotate(c, 12) + rotate(d, 18);
    return merge(merge(merge(merge(sum, a), b), c), d);
}

static uint64_t sum_rest(const uint8_t *at, size_t length, uint64_t sum)
{
    for (; length >= 8; at += 8, length -= 8)
        sum = rotate(sum ^ mix(0, load64(at)), 27) * P1 + P4;
    if (length >= 4) {
        sum = rotate(sum ^ load32(at) * P1, 23) * P2 + P3;
        at += 4;
        length -= 4;
    }
    for (; length > 0; at++, length--)
        sum = rotate(sum ^ *at * P5, 11) * P1;
    return sum;
}

uint64_t checksum64(const void *data, size_t length, uint64_t seed)
{
    const uint8_t *at = data;
    size_t stripes = length / STRIPE;
    uint64_t sum = stripes ? sum_stripes(at, stripes, seed) : seed + P5;

    sum = sum_rest(at + stripes * STRIPE, length % STRIPE, sum + length);
    sum = (sum ^ sum >> 33) * P2;
    sum = (sum ^ sum >> 29) * P3;
    return sum ^ sum >> 32;
}
