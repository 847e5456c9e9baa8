/*
 * Limits of a sandbox's traffic, on the host's end of its pair (or its tap): what it receives by a
 * token bucket, tc-tbf(8), on that interface; what it sends by one on an interface of its own
 * (ifb), to which all that comes in is redirected. The sandbox itself cannot reach either.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"

/* "10mbit", "1.5g", "500kbit/s", "64000": bits a second, in powers of 1000. 8000 at least; -EINVAL
 * with the error filled. */
int shape_parse_rate(const char *text, uint64_t *ret_bits, struct error *err);

struct shape {
    uint64_t in, out; /* bits a second, `in` towards the sandbox; 0: no limit that way */
    bool patient; /* so much may wait that a sender's window fits: it repeats slowly what is lost */
};
int shape_add(int sock, const char *device, const struct shape *shape, struct error *err);

/* Takes away what outlives the device itself: the ifb. */
int shape_remove(int sock, const char *device, struct error *err);

/* Its name. */
const char *shape_ifb(struct arena *arena, const char *device);
