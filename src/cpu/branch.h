/* Near branches of 16- and 32-bit code, for the modules of this folder that change the instruction
 * pointer. */
#pragma once

#include "cpu/state.h"

static inline uint64_t branch_mask(const struct op *op, uint64_t offset)
{
    if (op->flags & OP_MODE64)
        return offset;
    return op->size == 1 ? (uint16_t)offset : (uint32_t)offset;
}

/* #GP(0) when the offset lies outside the code segment. */
void branch_check(struct cpu *cpu, const struct op *op, uint64_t offset);

/* Goes to an offset of the code segment outside 64-bit mode, checked as branch_check() does. */
const struct op *branch_legacy(struct cpu *cpu, const struct op *op, uint64_t offset);
