/*
 * How SSE instructions are done: by the same instruction of the host, on values taken from the
 * guest's registers. Those that look at MXCSR run under the guest's, exceptions masked (fp.h);
 * where the guest has unmasked one, the flags are looked at before the result counts.
 */
#pragma once

#include "cpu/fp.h"
#include "cpu/handler.h"

typedef long long vec __attribute__((vector_size(16), may_alias));

#define XMM(n) (*(vec *)&cpu->xmm[n])

/* #UD and #NM where control registers forbid SSE. */
static inline void sse_check(struct cpu *cpu, const struct op *op)
{
    if (unlikely((cpu->cr0 & (CR0_EM | CR0_TS)) || !(cpu->cr4 & CR4_OSFXSR)))
        fp_check_sse(cpu, op);
}

/* Raises #GP: an operand of 16 bytes at an address that is no multiple of 16. */
_Noreturn void sse_misaligned(struct cpu *cpu, const struct op *op);

/* A memory operand of 16 bytes, aligned or #GP; and of any size, zero-extended. */
static inline vec sse_load(struct cpu *cpu, const struct op *op)
{
    uint64_t linear = ea(cpu, op);
    if (unlikely(linear & 15))
        sse_misaligned(cpu, op);
    return *(const vec *)mem_read(cpu, op, linear, 16);
}

static inline vec sse_load_any(struct cpu *cpu, const struct op *op, unsigned bytes)
{
    vec value = {0, 0};
    uint64_t linear = ea(cpu, op);
    memcpy(&value, mem_read(cpu, op, linear, bytes), bytes);
    return value;
}

static inline vec sse_operand(struct cpu *cpu, const struct op *op, unsigned bytes)
{
    return bytes == 16 ? sse_load(cpu, op) : sse_load_any(cpu, op, bytes);
}

/* Around an operation under MXCSR. `lane` is 4 or 8 when results may underflow, else 0; `lanes` how
 * many lanes are computed. */
void sse_begin_slow(struct cpu *cpu);
void sse_end_slow(struct cpu *cpu, const struct op *op, vec result, unsigned lane, unsigned lanes);

static inline bool sse_unmasked(const struct cpu *cpu)
{
    return (cpu->mxcsr & MXCSR_MASKS) != MXCSR_MASKS;
}

static inline void sse_begin(struct cpu *cpu)
{
    if (unlikely(!cpu->mxcsr_live || sse_unmasked(cpu)))
        sse_begin_slow(cpu);
}

static inline void sse_end(
        struct cpu *cpu, const struct op *op, vec result, unsigned lane, unsigned lanes)
{
    if (unlikely(sse_unmasked(cpu)))
        sse_end_slow(cpu, op, result, lane, lanes);
}

/* Two handlers, for a register and a memory source of `bytes`: dst = insn(dst, src). */
#define SSE_PLAIN(name, insn, bytes)                                                               \
    HANDLER(name##_r)                                                                              \
    {                                                                                              \
        vec a = XMM(op->reg), b = XMM(op->rm);                                                     \
        sse_check(cpu, op);                                                                        \
        __asm__(insn " %[b], %[a]" : [a] "+x"(a) : [b] "x"(b));                                    \
        XMM(op->reg) = a;                                                                          \
        NEXT;                                                                                      \
    }                                                                                              \
    HANDLER(name##_m)                                                                              \
    {                                                                                              \
        sse_check(cpu, op);                                                                        \
        vec b = sse_operand(cpu, op, bytes), a = XMM(op->reg);                                     \
        __asm__(insn " %[b], %[a]" : [a] "+x"(a) : [b] "x"(b));                                    \
        XMM(op->reg) = a;                                                                          \
        NEXT;                                                                                      \
    }

/* Two handlers of name##_do(), which gets the source: a register's, or what `memory` reads. */
#define SSE_BOTH(name, memory)                                                                     \
    HANDLER(name##_r)                                                                              \
    {                                                                                              \
        sse_check(cpu, op);                                                                        \
        return name##_do(cpu, op, XMM(op->rm));                                                    \
    }                                                                                              \
    HANDLER(name##_m)                                                                              \
    {                                                                                              \
        sse_check(cpu, op);                                                                        \
        return name##_do(cpu, op, memory);                                                         \
    }

#define SSE_FLOAT(name, insn, bytes, lane, lanes)                                                  \
    static inline const struct op *name##_do(struct cpu *cpu, const struct op *op, vec b)          \
    {                                                                                              \
        vec a = XMM(op->reg);                                                                      \
        sse_begin(cpu);                                                                            \
        __asm__ volatile(insn " %[b], %[a]" : [a] "+x"(a) : [b] "x"(b) : "memory");                \
        sse_end(cpu, op, a, lane, lanes);                                                          \
        XMM(op->reg) = a;                                                                          \
        NEXT;                                                                                      \
    }                                                                                              \
    SSE_BOTH(name, sse_operand(cpu, op, bytes))

#define SSE_ENTRY(text, map_, pfx, code_, fn, bytes_)                                              \
    {                                                                                              \
        .name = text, .map = map_, .code = code_, .prefix = pfx, .form = FORM_VW, .bytes = bytes_, \
        .reg = ALL(fn##_r), .mem = ALL(fn##_m)                                                     \
    }
