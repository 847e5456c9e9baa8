#include "cpu/tlb.h"

#include <string.h>

#include "cpu/space.h"

static const struct tlb_entry no_entry = {.read = TLB_NEVER, .write = TLB_NEVER};

static void tlb_clear(struct tlb *tlb, bool keep_global)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < TLB_VICTIMS; i++)
        tlb->victim[i] = no_entry;
    for (unsigned i = 0; i < tlb->used_count; i++) {
        struct tlb_entry *entry = &tlb->entry[tlb->used[i]];
        if (keep_global && entry->global && entry->read != TLB_NEVER)
            tlb->used[kept++] = tlb->used[i];
        else
            *entry = no_entry;
    }
    tlb->used_count = kept;
}

/* Which frames have been writable through a TLB since it was empty, by a hash: most that turn out
 * to be code never were. */
static unsigned written_bit(uint64_t gpa)
{
    return (unsigned)(gpa >> PAGE_BITS) % (WRITTEN_WORDS * 64);
}

static bool may_be_written(const struct cpu *cpu, uint64_t gpa)
{
    return cpu->written[written_bit(gpa) / 64] >> (written_bit(gpa) % 64) & 1;
}

static void note_written(struct cpu *cpu, uint64_t gpa)
{
    cpu->written[written_bit(gpa) / 64] |= UINT64_C(1) << (written_bit(gpa) % 64);
}

static void forget_user_jumps(struct cpu *cpu)
{
    cpu->jump_keys[1] += 64;
    if (cpu->jump_key & 1)
        cpu->jump_key += 64;
}

void jumps_forget(struct cpu *cpu)
{
    forget_user_jumps(cpu);
    cpu->jump_keys[0] += 64;
    if (!(cpu->jump_key & 1))
        cpu->jump_key += 64;
}

void jumps_note(struct cpu *cpu, uint64_t linear, bool global)
{
    cpu->jump_local = cpu->jump_local || (cpu->cpl != 3 && !(global && linear >> 63));
}

static void flush(struct cpu *cpu, bool keep_global)
{
    for (unsigned i = 0; i < TLB_KINDS; i++)
        tlb_clear(&cpu->tlbs[i], keep_global);
    if (!keep_global)
        memset(cpu->written, 0, sizeof(cpu->written));
    for (unsigned i = 0; i < ITLB_ENTRIES; i++)
        if (!keep_global || !cpu->itlb[i].global)
            cpu->itlb[i].tag = TLB_NEVER;
    if (!keep_global || cpu->jump_local)
        jumps_forget(cpu);
    else
        forget_user_jumps(cpu);
    cpu->jump_local = cpu->jump_local && keep_global;
    cpu->stats.tlb_flushes++;
}

void mmu_flush(struct cpu *cpu)
{
    flush(cpu, false);
}

void mmu_flush_local(struct cpu *cpu)
{
    flush(cpu, true);
}

void mmu_flush_page(struct cpu *cpu, uint64_t linear)
{
    uint64_t page = linear & PAGE_MASK;
    for (unsigned i = 0; i < TLB_KINDS; i++) {
        struct tlb_entry *entry = &cpu->tlbs[i].entry[(linear >> PAGE_BITS) % TLB_ENTRIES];
        if (entry->read == page || entry->write == page)
            entry->read = entry->write = TLB_NEVER;
        for (unsigned j = 0; j < TLB_VICTIMS; j++)
            if (cpu->tlbs[i].victim[j].read == page)
                cpu->tlbs[i].victim[j] = no_entry;
    }
    struct itlb_entry *code = &cpu->itlb[(linear >> PAGE_BITS) % ITLB_ENTRIES];
    if (code->tag == page)
        code->tag = TLB_NEVER;
    if (linear >> 63 || cpu->jump_local)
        jumps_forget(cpu);
    else
        forget_user_jumps(cpu);
}

void mmu_select(struct cpu *cpu)
{
    enum tlb_kind kind = TLB_KERNEL;
    if (cpu->cpl == 3)
        kind = TLB_USER;
    else if (cpu->eflags & FLAG_AC)
        kind = TLB_KERNEL_AC;
    cpu->tlb = cpu->tlbs[kind].entry;
    bool user = cpu->cpl == 3;
    cpu->jump_key = cpu->jump_keys[user] | (cpu->mode * 4u + user);
}

static bool protect_entry(struct tlb_entry *entry, uintptr_t host)
{
    if (entry->write == TLB_NEVER || entry->write + entry->addend != host)
        return false;
    entry->write = TLB_NEVER;
    return true;
}

bool mmu_protect_frame(struct cpu *cpu, uint64_t gpa)
{
    const struct slot *slot = space_find(cpu->config.space, gpa);
    if (!slot || !may_be_written(cpu, gpa))
        return false;
    uintptr_t host = (uintptr_t)slot_host(slot, gpa & PAGE_MASK);
    bool found = false;
    for (unsigned i = 0; i < TLB_KINDS; i++) {
        struct tlb *tlb = &cpu->tlbs[i];
        for (unsigned j = 0; j < tlb->used_count; j++)
            found = protect_entry(&tlb->entry[tlb->used[j]], host) || found;
        for (unsigned j = 0; j < TLB_VICTIMS; j++)
            found = protect_entry(&tlb->victim[j], host) || found;
    }
    return found;
}

static struct tlb *current(struct cpu *cpu)
{
    for (unsigned i = 0; i < TLB_KINDS; i++)
        if (cpu->tlb == cpu->tlbs[i].entry)
            return &cpu->tlbs[i];
    return &cpu->tlbs[TLB_KERNEL];
}

static void exchange(struct tlb_entry *entry, struct tlb_entry *victim)
{
    struct tlb_entry left = *entry;
    bool listed = entry->listed;
    *entry = *victim;
    entry->listed = listed;
    *victim = left;
}

bool tlb_recall(struct cpu *cpu, uint64_t linear, bool write)
{
    struct tlb *tlb = current(cpu);
    uint64_t page = linear & PAGE_MASK;
    struct tlb_entry *entry = &tlb->entry[(linear >> PAGE_BITS) % TLB_ENTRIES];
    for (unsigned i = 0; i < TLB_VICTIMS; i++) {
        struct tlb_entry *victim = &tlb->victim[i];
        if (victim->read != page || (write && victim->write != page))
            continue;
        if (entry->read == page) /* found again meanwhile, with less rights */
            entry->read = TLB_NEVER;
        exchange(entry, victim);
        return true;
    }
    return false;
}

void tlb_fill(struct cpu *cpu, uint64_t linear, const struct walk *walk, const struct slot *slot,
        bool writable)
{
    if (cpu->watching)
        return;
    struct tlb *tlb = current(cpu);
    unsigned index = (unsigned)((linear >> PAGE_BITS) % TLB_ENTRIES);
    struct tlb_entry *entry = &tlb->entry[index];
    uint64_t page = linear & PAGE_MASK;
    if (!entry->listed)
        tlb->used[tlb->used_count++] = (uint16_t)index;
    else if (entry->read != TLB_NEVER && entry->read != page)
        tlb->victim[tlb->victim_next++ % TLB_VICTIMS] = *entry;
    entry->listed = true;
    entry->read = page;
    entry->write = writable ? page : TLB_NEVER;
    if (writable)
        note_written(cpu, walk->gpa);
    entry->addend = (uintptr_t)slot_host(slot, walk->gpa & PAGE_MASK) - page;
    entry->global = walk->global;
}
