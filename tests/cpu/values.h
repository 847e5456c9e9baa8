/* Random values with the edges of each type made likely. One seed gives all of a run. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct random {
    uint64_t state;
};

uint64_t random_next(struct random *random);
uint64_t below(struct random *random, uint64_t limit); /* 0 … limit - 1 */
bool chance(struct random *random, unsigned of);       /* one in `of` */

uint64_t edge_integer(struct random *random);
uint64_t edge_word(struct random *random); /* two singles, a double, an integer or anything */
void edge_extended(struct random *random, uint8_t *value); /* 10 bytes, as x87 has them */
