/* The registers of struct cpu_state by name, for viv-cpu's options and its report. */
#pragma once

#include "cpu/cpu.h"

/* Names by the encoding's order. */
extern const char *const register_names[CPU_REGS];
extern const char *const segment_names[CPU_SEGMENTS];

/* Sets one by its name: rax … r15 and their 32-bit names, rip, rflags, xmm0 … xmm15, mxcsr, fcw,
 * fsw, cr0 … cr4, efer, segment selectors and bases (fs_base). -ENOENT for other names. */
int register_set(struct cpu_state *state, const char *name, const uint64_t value[2]);
