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
 * is written: the case's operand is longer than one store, or is several that are pushed or popped
 * in any order. */
bool choices_long_operand(const struct test_case *test);

/* Whether the host went on where ours met a missing page, or the other way round, by right. */
bool choices_trap(
        const struct test_case *test, const struct result *native, const struct result *ours);

/* Whether an MMX store that faulted has put the x87 registers into MMX's state already. */
bool choices_mmx_state(const struct test_case *test, const struct result *native);

/* Whether general registers may be loaded in part before the fault that the host met. */
bool choices_registers(const struct test_case *test, const struct result *native);

/* Bits of RCX, RSI and RDI that the case defines. */
uint64_t choices_string_registers(const struct test_case *test, const struct result *native);

/* Bits of a general register that the case defines: not what the host says of itself or the time.
 */
uint64_t choices_general(const struct test_case *test, unsigned reg);

/* Whether a byte of memory may differ. */
bool choices_byte(const struct test_case *test, const struct result *native,
        const struct result *ours, unsigned at);

/* Whether a segment register may differ. */
bool choices_segment(const struct result *native, const struct result *ours, unsigned segment);

/* Whether the base of FS (0) or GS (1) may differ. */
bool choices_base(const struct test_case *test, const struct result *native, unsigned number);

/* Whether both are the same software interrupt: ours tells its vector, and whether level 3 may use
 * its gate is the host's kernel's choice. */
bool choices_gate(
        const struct test_case *test, const struct result *native, const struct result *ours);
