#include "cpu/mmu.h"

#include "cpu/fault.h"

static const uint8_t nothing[PAGE_BYTES] = {[0 ... PAGE_BYTES - 1] = 0xff};

const struct itlb_entry *mmu_fetch(struct cpu *cpu, uint64_t linear)
{
    struct itlb_entry *entry = &cpu->itlb[(linear >> PAGE_BITS) % ITLB_ENTRIES];
    uint64_t page = linear & PAGE_MASK;
    bool user = cpu->cpl == 3;
    if (likely(entry->tag == page && entry->user == user))
        return entry;
    if (cpu_long_mode(cpu) && !is_canonical(linear))
        cpu_fault_code(cpu, VEC_GP, 0);
    struct walk walk;
    uint32_t code;
    if (mmu_walk(cpu, linear, ACCESS_FETCH | (user ? ACCESS_USER : 0), &walk, &code) < 0)
        cpu_page_fault(cpu, linear, code);
    const struct slot *slot = space_find(cpu->config.space, walk.gpa);
    *entry = (struct itlb_entry){.tag = page,
            .gpa = walk.gpa & PAGE_MASK,
            .host = slot ? slot_host(slot, walk.gpa & PAGE_MASK) : nothing,
            .global = walk.global,
            .user = user};
    return entry;
}

bool cpu_translate(struct cpu *cpu, uint64_t linear, uint64_t *ret_gpa)
{
    struct walk walk;
    uint32_t code;
    if (mmu_walk(cpu, linear, 0, &walk, &code) < 0)
        return false;
    *ret_gpa = walk.gpa;
    return true;
}
