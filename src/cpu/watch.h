/* Data breakpoints: while one is enabled every access takes the slow path and comes by here. */
#pragma once

#include "cpu/state.h"

void watch_hit(struct cpu *cpu, uint64_t linear, unsigned size, bool write);

static inline void watch_access(struct cpu *cpu, uint64_t linear, unsigned size, bool write)
{
    if (unlikely(cpu->watching))
        watch_hit(cpu, linear, size, write);
}

/* DR7 or an address was written: decide what has to be watched. */
void watch_update(struct cpu *cpu);

/* An instruction breakpoint at this linear address: its DR6 bits, 0 for none. */
uint32_t watch_execution(const struct cpu *cpu, uint64_t linear);
