/*
 * Address translation: the page walk with its permission checks and accessed/dirty bits, and the
 * pages that code is fetched from. For this folder only; operations use mem.h.
 */
#pragma once

#include "cpu/space.h"
#include "cpu/state.h"
#include "cpu/tlb.h"

#define ACCESS_WRITE 2u /* the bits of the page fault's error code */
#define ACCESS_USER 4u
#define ACCESS_FETCH 16u

/* Guest-physical address widths told in CPUID. */
#define PHYSICAL_BITS 40
#define PHYSICAL_MASK ((1ull << PHYSICAL_BITS) - 1)

/* Translates, sets accessed and dirty bits. Returns 0, or -1 with the error code of #PF. */
int mmu_walk(struct cpu *cpu, uint64_t linear, unsigned access, struct walk *ret, uint32_t *code);

static inline bool is_canonical(uint64_t linear)
{
    return (uint64_t)((int64_t)(linear << 16) >> 16) == linear;
}

/* The code page of a linear address: host memory, guest-physical page. Raises #PF, #GP. */
const struct itlb_entry *mmu_fetch(struct cpu *cpu, uint64_t linear);
