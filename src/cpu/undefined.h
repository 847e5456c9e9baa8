/*
 * Instructions that do not exist here: they raise #UD and are counted by name, so that a machine's
 * statistics tell what a guest missed. For this folder only.
 */
#pragma once

#include "cpu/state.h"

/* Raise #UD for an opcode that does not exist, #GP for one of more than 15 bytes. */
const struct op *op_undefined(struct cpu *cpu, const struct op *op);
const struct op *op_too_long(struct cpu *cpu, const struct op *op);
