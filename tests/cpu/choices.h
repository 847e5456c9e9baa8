/*
 * What the architecture leaves to the implementation, and Intel's and AMD's processors do
 * differently: the comparison in silicon.c asks here before it calls a difference one. Each choice
 * is named with the manual's words for it, and covers no more than the case in which it was seen.
 */
#pragma once

#include "silicon.h"

/* Arithmetic and direction flags that the case defines. */
uint64_t choices_flags(const struct test_case *test, const struct result *native);

/* Which byte of an operand's missing page CR2 tells, and whether the part of the operand before it
 * is written: the case's operand is longer than one store. */
bool choices_long_operand(const struct test_case *test);

/* Whether the host went on where ours met a missing page, or the other way round, by right. */
bool choices_trap(
        const struct test_case *test, const struct result *native, const struct result *ours);

/* Whether an MMX store that faulted has put the x87 registers into MMX's state already. */
bool choices_mmx_state(const struct test_case *test, const struct result *native);

/* Whether general registers may be loaded in part before the fault that the host met. */
bool choices_registers(const struct test_case *test, const struct result *native);

/* Bits of RCX, RSI and RDI that the case defines. */
uint64_t choices_string_registers(const struct test_case *test);
