/*
 * Segments: from an offset to a linear address with the checks of real and protected mode, loading
 * segment registers, and the stack's width. For this folder only.
 */
#pragma once

#include "cpu/state.h"

/* Segment and descriptor types, as the hardware encodes them. */
#define TYPE_CODE 8u
#define TYPE_CONFORMING 4u /* of code; expand-down of data */
#define TYPE_EXPAND_DOWN 4u
#define TYPE_READABLE 2u /* of code; writable of data */
#define TYPE_WRITABLE 2u
#define TYPE_ACCESSED 1u
#define TYPE_TSS16 1u
#define TYPE_LDT 2u
#define TYPE_TSS16_BUSY 3u
#define TYPE_CALL16 4u
#define TYPE_TASK_GATE 5u
#define TYPE_INT16 6u
#define TYPE_TRAP16 7u
#define TYPE_TSS32 9u
#define TYPE_TSS32_BUSY 11u
#define TYPE_CALL32 12u
#define TYPE_INT32 14u
#define TYPE_TRAP32 15u

/* The linear address of `size` bytes at an offset; raises #GP or #SS. In 64-bit mode only FS and GS
 * have a base, and nothing is checked here. */
uint64_t seg_linear(struct cpu *cpu, const struct op *op, unsigned seg, uint64_t offset,
        unsigned size, bool write);

/* Whether bytes at an offset lie inside of a segment's limit. */
bool segment_holds(const struct cpu_segment *segment, uint64_t offset, unsigned size);

/* The memory operand's address, checked for other than the operation's own bytes or rights. */
uint64_t ea_checked(struct cpu *cpu, const struct op *op, unsigned size, bool write);

/* The operands of MOV with an absolute address, of XLAT, and of string operations. */
uint64_t moffs_linear(struct cpu *cpu, const struct op *op, bool write);
uint64_t xlat_linear(struct cpu *cpu, const struct op *op);

/* The eight bytes of a descriptor, read from the GDT or LDT, and what they say. */
struct descriptor {
    uint64_t low, high; /* high: of 16-byte descriptors in long mode */
    uint64_t address;   /* linear, of the descriptor itself */
    struct cpu_segment segment;
};

/* Reads the descriptor of a selector. False when it lies outside its table (the caller chooses the
 * exception). */
bool descriptor_read(struct cpu *cpu, uint16_t selector, struct descriptor *ret);
struct cpu_segment descriptor_segment(uint64_t low, uint16_t selector);

/* Sets the accessed bit of a code or data descriptor, the busy bit of a TSS. */
void descriptor_mark(struct cpu *cpu, struct descriptor *descriptor, unsigned type);

/* Loads DS, ES, FS, GS or SS with all checks; `cpu->op` is the running operation. */
void segment_load(struct cpu *cpu, unsigned seg, uint16_t selector);

/* A stack segment for a privilege level, checked as a load of SS there: what does not fit raises
 * `vector` (#GP, or #TS where a task state names it), one that is absent #SS. `ext` is the lowest
 * bit of the error code. */
struct cpu_segment segment_read_stack(
        struct cpu *cpu, uint16_t selector, unsigned level, enum cpu_vector vector, uint32_t ext);

/* A segment register as it is in real mode. */
void segment_load_real(struct cpu *cpu, unsigned seg, uint16_t selector);

/* CS, EFER or CR0 has changed: code size, bases for 64-bit code, TLB, jump key. */
void segment_changed(struct cpu *cpu);

static inline uint64_t stack_mask(const struct cpu *cpu)
{
    if (cpu->mode == MODE_64)
        return ~0ull;
    return cpu->segment[CPU_SS].db ? 0xffffffffull : 0xffffull;
}

/* RSP with its lower part, of the stack's width, replaced. */
static inline uint64_t stack_merge(const struct cpu *cpu, uint64_t rsp)
{
    uint64_t mask = stack_mask(cpu);
    if (mask == 0xffffffffull)
        return rsp & mask;
    return (cpu->regs[CPU_RSP] & ~mask) | (rsp & mask);
}

/* Pushes and pops on a stack pointer of the caller's, to be stored in RSP when all has gone well.
 */
void stack_push(
        struct cpu *cpu, const struct op *op, uint64_t *rsp, uint64_t value, unsigned bytes);
uint64_t stack_pop(struct cpu *cpu, const struct op *op, uint64_t *rsp, unsigned bytes);

/* MASKMOVDQU and MASKMOVQ: bytes whose mask has its top bit, to DS:RDI (or the override). */
void mask_store(struct cpu *cpu, const struct op *op, const uint8_t *data, const uint8_t *mask,
        unsigned count);
