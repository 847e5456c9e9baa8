#include <string.h>

#include "values.h"

uint64_t random_next(struct random *random)
{
    uint64_t x = random->state += 0x9e3779b97f4a7c15ull;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
    return x ^ (x >> 31);
}

uint64_t below(struct random *random, uint64_t limit)
{
    return random_next(random) % limit;
}

bool chance(struct random *random, unsigned of)
{
    return below(random, of) == 0;
}

uint64_t edge_integer(struct random *random)
{
    uint64_t wide = random_next(random);
    switch (below(random, 10)) {
    case 0:
        return 0;
    case 1:
        return ~0ull;
    case 2:
        return below(random, 70);
    case 3:
        return 0 - below(random, 70);
    case 4:
        return 1ull << (wide & 63);
    case 5:
        return (1ull << (wide & 63)) - 1;
    case 6:
        return 0x8000800080008000ull ^ (wide & 0x0001000100010001ull);
    case 7:
        return 0x7f7f7f7f80808080ull ^ (wide & 0x0101010101010101ull);
    case 8:
        return (uint32_t)wide;
    default:
        return wide;
    }
}

static uint64_t edge_double(struct random *random)
{
    static const uint64_t values[] = {0, 0x3ff0000000000000, 0x7ff0000000000000, 0x7ff8000000000000,
            0x7ff0000000000001, 1, 0x000fffffffffffff, 0x0010000000000000, 0x7fefffffffffffff,
            0x3ca0000000000000, 0x4330000000000001, 0x41dfffffffc00000, 0x43e0000000000000,
            0x3fe0000000000000, 0x36a0000000000000, 0x380fffffffffffff};
    uint64_t sign = random_next(random) & (1ull << 63);
    if (chance(random, 3))
        return (random_next(random) & 0x000fffffffffffff) | (0x3d0 + below(random, 96)) << 52 |
               sign;
    return values[below(random, sizeof(values) / 8)] | sign;
}

static uint32_t edge_single(struct random *random)
{
    static const uint32_t values[] = {0, 0x3f800000, 0x7f800000, 0x7fc00000, 0x7f800001, 1,
            0x007fffff, 0x00800000, 0x7f7fffff, 0x3f000000, 0x4b000001, 0x4effffff, 0x4f000000,
            0x5f000000, 0x33800000, 0x00000100};
    uint32_t sign = (uint32_t)random_next(random) & 0x80000000u;
    if (chance(random, 3))
        return ((uint32_t)random_next(random) & 0x007fffff) |
               (uint32_t)(0x60 + below(random, 64)) << 23 | sign;
    return values[below(random, sizeof(values) / 4)] | sign;
}

uint64_t edge_word(struct random *random)
{
    switch (below(random, 4)) {
    case 0:
        return edge_double(random);
    case 1:
        return edge_single(random) | (uint64_t)edge_single(random) << 32;
    case 2:
        return random_next(random);
    default:
        return edge_integer(random);
    }
}

void edge_extended(struct random *random, uint8_t *value)
{
    static const uint16_t exponents[] = {
            0, 0x3fff, 0x7fff, 1, 0x7ffe, 0x4000, 0x403e, 0x3fc0, 0x4030, 0x3ffe, 0x401e, 0x0001};
    uint64_t significand = edge_integer(random);
    uint16_t exponent = exponents[below(random, sizeof(exponents) / 2)];
    if (chance(random, 2))
        exponent = (uint16_t)(0x3fc0 + below(random, 0x80));
    if (!chance(random, 8)) /* normalised, but for a few */
        significand |= exponent ? 1ull << 63 : 0;
    if (chance(random, 2))
        exponent |= 0x8000;
    memcpy(value, &significand, 8);
    memcpy(value + 8, &exponent, 2);
}
