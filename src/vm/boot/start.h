/* How a vCPU stands when its first instruction is a kernel's and not a firmware's. */
#pragma once

#include <stdint.h>

#include "cpu/cpu.h"

/* 32-bit protected mode without paging at `entry`, as PVH and Multiboot start. */
void start_protected_mode(struct cpu_state *state, uint32_t entry);

/* 16-bit real mode at a linear address below 1 MiB. */
void start_real_mode(struct cpu_state *state, uint32_t entry);
