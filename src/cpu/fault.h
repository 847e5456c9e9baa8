/*
 * Raising exceptions from inside an operation. None of these return: they go back to cpu_run()'s
 * loop, which delivers the exception with the state as it was before the operation. So an operation
 * changes registers only after everything that can fail.
 */
#pragma once

#include "cpu/state.h"

/* An exception without an error code, and with one. `cpu->op` must be the running operation. */
_Noreturn void cpu_fault(struct cpu *cpu, enum cpu_vector vector);
_Noreturn void cpu_fault_code(struct cpu *cpu, enum cpu_vector vector, uint32_t code);

/* #PF with CR2. */
_Noreturn void cpu_page_fault(struct cpu *cpu, uint64_t linear, uint32_t code);

/* Leaves the operation undone, to be done again as a block of its own. */
_Noreturn void cpu_restart(struct cpu *cpu);

/* #GP(0) unless the operation runs at privilege level 0. */
void cpu_need_ring0(struct cpu *cpu);
