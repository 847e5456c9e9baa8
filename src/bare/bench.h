/*
 * A CPU with nothing around it: 4 GiB of memory at address 0 and a start state for each mode. There
 * are no devices; a fault stops it.
 */
#pragma once

#include "bare/options.h"
#include "cpu/cpu.h"

struct bench {
    uint8_t *memory; /* BENCH_BYTES, at guest-physical 0 */
    uint8_t *tables; /* page tables of 64-bit mode, behind it */
    struct cpu_space *space;
    struct cpu *cpu;
};

#define BENCH_BYTES (4ull << 30)

/* Makes it, loads what the options say, sets registers. Freed by bench_free() in any case. */
int bench_setup(struct bench *bench, const struct bare_options *options, struct error *err);
void bench_free(struct bench *bench);

/* Why it stopped, in one word: "hlt", "fault", "limit". */
const char *bench_stop_name(const struct cpu_exit *stop);
