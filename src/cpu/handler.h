/*
 * How the operations' handlers are written: the dispatch to the next one, registers by size, and
 * the way out of a block. Included by the modules that bring instructions.
 *
 * Optimised builds jump from handler to handler (NEXT is a tail call, so there is one indirect
 * branch for each handler and no loop); others return the next operation to the loop in run.c.
 * Handlers of both kinds mix freely.
 */
#pragma once

#include "cpu/decode.h"
#include "cpu/ea.h"
#include "cpu/fault.h"
#include "cpu/mem.h"
#include "cpu/state.h"

#if defined(__OPTIMIZE__) && !defined(__SANITIZE_ADDRESS__) && !defined(__clang__)
#define NEXT return op[1].fn(cpu, op + 1)
#define GOTO(op_) return (op_)->fn(cpu, op_)
#else
#define NEXT return op + 1
#define GOTO(op_) return (op_)
#endif

/* Guest atomics may be misaligned; the host's LOCK takes that as the guest's would. */
#define ANY_ALIGNMENT __attribute__((no_sanitize("alignment")))
#define HANDLER(name)                                                                              \
    ANY_ALIGNMENT static const struct op *name(                                                    \
            __attribute__((unused)) struct cpu *cpu, const struct op *op)

/* A register of T's size by byte offset; a 32-bit write clears the upper half. */
#define REG(T, off) (*(T *)((char *)cpu->regs + (off)))
#define SET_REG(T, off, value)                                                                     \
    do {                                                                                           \
        if (sizeof(T) == 4)                                                                        \
            REG(uint64_t, off) = (uint64_t)(uint32_t)(value);                                      \
        else                                                                                       \
            REG(T, off) = (T)(value);                                                              \
    } while (0)

/* Ends the block after this operation; the loop looks at interrupts and changed modes. */
static inline const struct op *leave_after(struct cpu *cpu, const struct op *op)
{
    cpu->rip = op_next_rip(cpu, op);
    cpu->left -= op->count;
    cpu->slow = true;
    return NULL;
}

/* As leave_after, with the next instruction's place (an offset in CS) given. */
static inline const struct op *leave_to(struct cpu *cpu, const struct op *op, uint64_t rip)
{
    cpu->rip = rip;
    cpu->left -= op->count;
    cpu->slow = true;
    return NULL;
}

/* The value of an operand register by the operation's own size, for handlers of any size. */
static inline uint64_t reg_get(const struct cpu *cpu, unsigned off, unsigned size)
{
    switch (size) {
    case 0:
        return REG8(cpu, off);
    case 1:
        return REG16(cpu, off);
    case 2:
        return REG32(cpu, off);
    default:
        return REG64(cpu, off);
    }
}

static inline void reg_set(struct cpu *cpu, unsigned off, unsigned size, uint64_t value)
{
    switch (size) {
    case 0:
        REG8(cpu, off) = (uint8_t)value;
        break;
    case 1:
        REG16(cpu, off) = (uint16_t)value;
        break;
    case 2:
        REG64(cpu, off) = (uint32_t)value;
        break;
    default:
        REG64(cpu, off) = value;
        break;
    }
}

/* Where a linear address is remembered in the table of jump targets. */
static inline unsigned jump_index(uint64_t linear)
{
    return (unsigned)(linear ^ (linear >> 12)) % JUMP_ENTRIES;
}

/* Goes to a linear address that was found before, or leaves the block for the loop to find it. */
static inline const struct op *jump_linear(struct cpu *cpu, const struct op *op, uint64_t linear)
{
    const struct jump_entry *jump = &cpu->jump[jump_index(linear)];
    cpu->left -= op->count;
    if (likely(jump->linear == linear && jump->key == cpu->jump_key && cpu->left > 0)) {
        cpu->regs[REG_PAGE] = linear & PAGE_MASK;
        GOTO(jump->ops);
    }
    cpu->rip = rip_of_linear(cpu, linear);
    return NULL;
}
