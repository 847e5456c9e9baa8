/*
 * Address translation: the page walk with its permission checks and accessed/dirty bits, filling
 * and flushing the software TLBs. For this folder only; operations use mem.h.
 */
#pragma once

#include "cpu/space.h"
#include "cpu/state.h"

#define ACCESS_WRITE 2u /* the bits of the page fault's error code */
#define ACCESS_USER 4u
#define ACCESS_FETCH 16u

/* Guest-physical address widths told in CPUID. */
#define PHYSICAL_BITS 40
#define PHYSICAL_MASK ((1ull << PHYSICAL_BITS) - 1)

struct walk {
    uint64_t gpa;
    uint64_t page_size;
    bool writable, user, executable, dirty, global;
};

/* Translates, sets accessed and dirty bits. Returns 0, or -1 with the error code of #PF. */
int mmu_walk(struct cpu *cpu, uint64_t linear, unsigned access, struct walk *ret, uint32_t *code);

static inline bool is_canonical(uint64_t linear)
{
    return (uint64_t)((int64_t)(linear << 16) >> 16) == linear;
}

/* The code page of a linear address: host memory, guest-physical page. Raises #PF, #GP. */
const struct itlb_entry *mmu_fetch(struct cpu *cpu, uint64_t linear);

/* Everything; all but global pages; one page. */
void mmu_flush(struct cpu *cpu);
void mmu_flush_local(struct cpu *cpu);
void mmu_flush_page(struct cpu *cpu, uint64_t linear);

/* Privilege, AC or mode has changed: choose the TLB and the key of cached jumps. */
void mmu_select(struct cpu *cpu);

/* Writes to this frame must reach the slow path from now on; tells whether one could not have. */
bool mmu_protect_frame(struct cpu *cpu, uint64_t gpa);

/* Accesses that the CPU itself makes (descriptor tables, task state), with supervisor rights. */
void sys_load(struct cpu *cpu, uint64_t linear, void *data, unsigned size);
void sys_store(struct cpu *cpu, uint64_t linear, const void *data, unsigned size);
