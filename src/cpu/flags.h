/*
 * Arithmetic flags: kept as the host leaves them in AX after LAHF; SETO AL, and put back into the
 * host's flags where an operation reads them. For this folder only.
 */
#pragma once

#include "cpu/state.h"

/* Host assembly: the flags just computed to AX; all of them from AX; only the carry from a
 * register. */
#define FLAGS_OUT "\n\tlahf\n\tseto %%al"
#define FLAGS_IN "addb $0x7f, %%al\n\tsahf\n\t"
#define CARRY_IN "btw $8, %[raw]\n\t"

static inline uint32_t flags_arith(const struct cpu *cpu)
{
    uint32_t raw = cpu->raw;
    return ((raw >> 8) & (FLAG_CF | FLAG_PF | FLAG_AF | FLAG_ZF | FLAG_SF)) | ((raw & 1) << 11);
}

static inline void flags_set_arith(struct cpu *cpu, uint32_t flags)
{
    cpu->raw = (uint16_t)(((flags & (FLAG_CF | FLAG_PF | FLAG_AF | FLAG_ZF | FLAG_SF)) << 8) |
                          ((flags >> 11) & 1));
}

/* RFLAGS as the guest sees it. */
static inline uint32_t flags_get(const struct cpu *cpu)
{
    return cpu->eflags | 2 | flags_arith(cpu);
}

/* Sets the bits of `mask`; system flags have their effects (mmu_select() is up to the caller). */
static inline void flags_set(struct cpu *cpu, uint32_t flags, uint32_t mask)
{
    uint32_t merged = (flags_get(cpu) & ~mask) | (flags & mask);
    flags_set_arith(cpu, merged);
    cpu->eflags = merged & ~FLAGS_ARITH & 0x3f7700u;
}

static inline void flags_set_bit(struct cpu *cpu, uint16_t raw_bit, bool on)
{
    cpu->raw = (uint16_t)(on ? cpu->raw | raw_bit : cpu->raw & ~raw_bit);
}

/* The sixteen conditions, in the order of their encoding. */
static inline bool condition(const struct cpu *cpu, unsigned code)
{
    uint32_t raw = cpu->raw;
    bool less = ((raw >> 15) ^ raw) & 1, result;
    switch (code >> 1) {
    case 0:
        result = raw & RAW_OF;
        break;
    case 1:
        result = raw & RAW_CF;
        break;
    case 2:
        result = raw & RAW_ZF;
        break;
    case 3:
        result = raw & (RAW_CF | RAW_ZF);
        break;
    case 4:
        result = raw & RAW_SF;
        break;
    case 5:
        result = raw & RAW_PF;
        break;
    case 6:
        result = less;
        break;
    default:
        result = less || (raw & RAW_ZF);
        break;
    }
    return result ^ (code & 1);
}

/* One line for each condition: X(name, code). */
#define CONDITIONS(X)                                                                              \
    X(o, 0)                                                                                        \
    X(no, 1)                                                                                       \
    X(b, 2)                                                                                        \
    X(ae, 3)                                                                                       \
    X(e, 4)                                                                                        \
    X(ne, 5)                                                                                       \
    X(be, 6)                                                                                       \
    X(a, 7)                                                                                        \
    X(s, 8)                                                                                        \
    X(ns, 9)                                                                                       \
    X(p, 10)                                                                                       \
    X(np, 11)                                                                                      \
    X(l, 12)                                                                                       \
    X(ge, 13)                                                                                      \
    X(le, 14)                                                                                      \
    X(g, 15)
