/*
 * The software TLBs themselves: what is in them, which one is in use, and what is dropped from
 * them. Knows no page tables and raises nothing, so that whoever raises a fault can use it. For
 * this folder only.
 */
#pragma once

#include "cpu/state.h"

struct slot;

/* One translation as a page walk found it. */
struct walk {
    uint64_t gpa;
    uint64_t page_size;
    bool writable, user, executable, dirty, global;
};

/* Everything; all but global pages; one page. */
void mmu_flush(struct cpu *cpu);
void mmu_flush_local(struct cpu *cpu);
void mmu_flush_page(struct cpu *cpu, uint64_t linear);

/* Privilege, AC or mode has changed: choose the TLB and the key of cached jumps. */
void mmu_select(struct cpu *cpu);

/*
 * Cached jumps. Those of user mode last until any flush. Those of kernel mode go through upper,
 * global pages as a rule, which a local flush does not change, nor one of a lower page;
 * `jump_local` remembers when one did not.
 */
void jumps_forget(struct cpu *cpu);
void jumps_note(struct cpu *cpu, uint64_t linear, bool global);

/* Writes to this frame must reach the slow path from now on; tells whether one could not have. */
bool mmu_protect_frame(struct cpu *cpu, uint64_t gpa);

/* Takes back what another page has put out of its entry; false: it has to be walked for. */
bool tlb_recall(struct cpu *cpu, uint64_t linear, bool write);

/* Remembers a page of plain memory in the TLB that is in use, unless accesses are watched. */
void tlb_fill(struct cpu *cpu, uint64_t linear, const struct walk *walk, const struct slot *slot,
        bool writable);
