/*
 * The addresses of memory operands: computed here where nothing has to be checked, which is nearly
 * all of 64-bit code, and in segment.c elsewhere. That module stands above the decoded code, so it
 * is not included here. For this folder only.
 */
#pragma once

#include "cpu/state.h"

/* As ea(), for what the decoder has marked as checked. */
uint64_t ea_slow(struct cpu *cpu, const struct op *op);

/* The operand's linear address. */
static inline uint64_t ea(struct cpu *cpu, const struct op *op)
{
    if (unlikely(op->flags & OP_SLOW_EA))
        return ea_slow(cpu, op);
    return REG64(cpu, op->base) + (REG64(cpu, op->index) << op->scale) + (uint64_t)op->disp +
           cpu->seg_base[op->seg];
}

/* The offset alone, for LEA: cut to the address size. */
static inline uint64_t ea_offset(struct cpu *cpu, const struct op *op)
{
    uint64_t offset =
            REG64(cpu, op->base) + (REG64(cpu, op->index) << op->scale) + (uint64_t)op->disp;
    if (op->flags & OP_A32)
        return (uint32_t)offset;
    return op->flags & OP_A16 ? (uint16_t)offset : offset;
}
