/* Model-specific registers: the CPU's own by table, the machine's by its callbacks. */
#pragma once

#include "cpu/state.h"

/* False: there is none, or the value is not allowed; the instruction raises #GP. */
bool msr_read(struct cpu *cpu, uint32_t index, uint64_t *value);
bool msr_write(struct cpu *cpu, uint32_t index, uint64_t value);

/* The time stamp counter as RDTSC shows it. */
uint64_t tsc_read(struct cpu *cpu);
