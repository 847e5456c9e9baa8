/*
 * Guest memory as operations reach it: by linear address through the software TLB. A hit costs a
 * compare and is inline; everything else (page walk, faults, device memory, page-crossing, pages
 * with decoded code) is in access.c. The accesses raise the guest's exceptions themselves.
 */
#pragma once

#include <string.h>

#include "cpu/state.h"

/* Slow paths, all in access.c; `op` is the running operation. */
void *mmu_read_slow(struct cpu *cpu, const struct op *op, uint64_t linear, unsigned size);
void mmu_write_slow(
        struct cpu *cpu, const struct op *op, uint64_t linear, const void *data, unsigned size);
void *mmu_modify_slow(struct cpu *cpu, const struct op *op, uint64_t linear, unsigned size);
void mmu_commit(struct cpu *cpu);

/* A hit needs the whole access inside the page: the last byte's page is compared. */
static inline const struct tlb_entry *tlb_entry(const struct cpu *cpu, uint64_t linear)
{
    return cpu->tlb + ((linear >> PAGE_BITS) & (TLB_ENTRIES - 1));
}

/* Host address of `size` readable bytes, valid until the next access. */
static inline const void *mem_read(
        struct cpu *cpu, const struct op *op, uint64_t linear, unsigned size)
{
    const struct tlb_entry *entry = tlb_entry(cpu, linear);
    if (likely(entry->read == ((linear + size - 1) & PAGE_MASK)))
        return (const void *)(linear + entry->addend);
    return mmu_read_slow(cpu, op, linear, size);
}

/* Host address of `size` bytes to read and then write; mem_done() must follow the write. */
static inline void *mem_modify(struct cpu *cpu, const struct op *op, uint64_t linear, unsigned size)
{
    const struct tlb_entry *entry = tlb_entry(cpu, linear);
    if (likely(entry->write == ((linear + size - 1) & PAGE_MASK)))
        return (void *)(linear + entry->addend);
    return mmu_modify_slow(cpu, op, linear, size);
}

static inline void mem_done(struct cpu *cpu)
{
    if (unlikely(cpu->write_pending))
        mmu_commit(cpu);
}

/* The guest's data has any alignment. */
typedef uint8_t any8 __attribute__((may_alias));
typedef uint16_t any16 __attribute__((may_alias, aligned(1)));
typedef uint32_t any32 __attribute__((may_alias, aligned(1)));
typedef uint64_t any64 __attribute__((may_alias, aligned(1)));

#define MEM_ACCESS(bits)                                                                           \
    static inline uint##bits##_t load##bits(struct cpu *cpu, const struct op *op, uint64_t linear) \
    {                                                                                              \
        return *(const volatile any##bits *)mem_read(cpu, op, linear, bits / 8);                   \
    }                                                                                              \
    static inline void store##bits(                                                                \
            struct cpu *cpu, const struct op *op, uint64_t linear, uint##bits##_t value)           \
    {                                                                                              \
        const struct tlb_entry *entry = tlb_entry(cpu, linear);                                    \
        if (likely(entry->write == ((linear + bits / 8 - 1) & PAGE_MASK)))                         \
            *(volatile any##bits *)(linear + entry->addend) = value;                               \
        else                                                                                       \
            mmu_write_slow(cpu, op, linear, &value, bits / 8);                                     \
    }
MEM_ACCESS(8)
MEM_ACCESS(16)
MEM_ACCESS(32)
MEM_ACCESS(64)

/* Any size up to 64 bytes. */
static inline void mem_load(
        struct cpu *cpu, const struct op *op, uint64_t linear, void *data, unsigned size)
{
    memcpy(data, mem_read(cpu, op, linear, size), size);
}

static inline void mem_store(
        struct cpu *cpu, const struct op *op, uint64_t linear, const void *data, unsigned size)
{
    const struct tlb_entry *entry = tlb_entry(cpu, linear);
    if (likely(entry->write == ((linear + size - 1) & PAGE_MASK)))
        memcpy((void *)(linear + entry->addend), data, size);
    else
        mmu_write_slow(cpu, op, linear, data, size);
}

/* An unsigned value of 1, 2, 4 or 8 bytes. */
uint64_t mem_load_value(struct cpu *cpu, const struct op *op, uint64_t linear, unsigned size);
void mem_store_value(
        struct cpu *cpu, const struct op *op, uint64_t linear, uint64_t value, unsigned size);

/* Accesses that the CPU itself makes (descriptor tables, task state), with supervisor rights. */
void sys_load(struct cpu *cpu, uint64_t linear, void *data, unsigned size);
void sys_store(struct cpu *cpu, uint64_t linear, const void *data, unsigned size);
