/*
 * Floating-point state in the host's registers. The guest's MXCSR (with every exception masked) and
 * its x87 state are put there when an operation first needs them, stay while the guest runs, and go
 * back before any code of ours could see them: fp_leave(). For this folder only.
 */
#pragma once

#include "cpu/state.h"

void fp_leave_slow(struct cpu *cpu);

static inline void fp_leave(struct cpu *cpu)
{
    if (unlikely(cpu->x87_live || cpu->mxcsr_live))
        fp_leave_slow(cpu);
}

/* Makes the host's registers the guest's. */
void fp_load_mxcsr(struct cpu *cpu);
void fp_load_x87(struct cpu *cpu);

/* Takes the x87 state back to memory, the host's x87 being empty and ours again. */
void fp_store_x87(struct cpu *cpu);

/* The guest's MXCSR with the flags raised so far; the new value, from LDMXCSR and the like. */
uint32_t fp_get_mxcsr(struct cpu *cpu);
void fp_set_mxcsr(struct cpu *cpu, uint32_t value);

/* #NM or #UD where CR0 and CR4 ask for it. */
void fp_check_sse(struct cpu *cpu, const struct op *op);
void fp_check_x87(struct cpu *cpu, const struct op *op);

#define MXCSR_MASKS 0x1f80u
#define MXCSR_FLAGS 0x3fu
#define MXCSR_KNOWN 0xffffu

/* The summary and busy bits of the status word in memory, which follow from the flags and masks. */
void fp_summarize(struct cpu *cpu);
