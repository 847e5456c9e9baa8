/*
 * Instructions that do not exist here: they raise #UD and are counted by name, so that a machine's
 * statistics tell what a guest missed. For this folder only.
 */
#pragma once

#include "cpu/decode.h"

/* What identifies the encoding, kept in the operation's immediate. */
static inline uint64_t undefined_key(const struct decoded *decoded)
{
    return (uint64_t)decoded->vex << 24 | (uint64_t)decoded->map << 16 |
           (uint64_t)decoded->prefix << 8 | decoded->code;
}

/* Raise #UD for an opcode that does not exist, #GP for one of more than 15 bytes. */
const struct op *op_undefined(struct cpu *cpu, const struct op *op);
const struct op *op_too_long(struct cpu *cpu, const struct op *op);
