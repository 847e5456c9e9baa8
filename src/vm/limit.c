#include "vm/limit.h"

#define NS_PER_S 1e9
#define BURST 0.1 /* seconds' worth */

void limit_init(struct limit *limit, struct limit_rate rate, uint64_t now_ns)
{
    *limit = (struct limit){
            .rate = rate,
            .bytes = (double)rate.bytes_per_second * BURST,
            .operations = (double)rate.operations_per_second * BURST,
            .filled_ns = now_ns,
    };
}

static double fill(double level, uint64_t rate, double seconds)
{
    double full = (double)rate * BURST;

    level += (double)rate * seconds;
    return level > full ? full : level;
}

static double wait_for(double level, uint64_t rate)
{
    return rate && level < 0 ? -level / (double)rate : 0;
}

uint64_t limit_wait(struct limit *limit, uint64_t now_ns)
{
    double seconds = (double)(now_ns - limit->filled_ns) / NS_PER_S;

    limit->filled_ns = now_ns;
    limit->bytes = fill(limit->bytes, limit->rate.bytes_per_second, seconds);
    limit->operations = fill(limit->operations, limit->rate.operations_per_second, seconds);

    double bytes = wait_for(limit->bytes, limit->rate.bytes_per_second);
    double operations = wait_for(limit->operations, limit->rate.operations_per_second);
    double longest = bytes > operations ? bytes : operations;
    return longest > 0 ? (uint64_t)(longest * NS_PER_S) + 1 : 0;
}

void limit_take(struct limit *limit, uint64_t bytes)
{
    limit->bytes -= (double)bytes;
    limit->operations -= 1;
}
