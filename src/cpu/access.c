#include "cpu/access.h"

#include "cpu/blocks.h"
#include "cpu/fault.h"
#include "cpu/fp.h"
#include "cpu/mem.h"
#include "cpu/mmu.h"
#include "cpu/watch.h"

/* ------------------------------------------------------------------ outside memory */

static uint64_t outside_read(struct cpu *cpu, uint64_t gpa, unsigned size)
{
    const struct cpu_ops *ops = cpu->config.ops;
    return ops->mmio_read ? ops->mmio_read(cpu->config.owner, gpa, size) : ~0ull;
}

static void outside_write(struct cpu *cpu, uint64_t gpa, uint64_t value, unsigned size)
{
    const struct cpu_ops *ops = cpu->config.ops;
    if (ops->mmio_write)
        ops->mmio_write(cpu->config.owner, gpa, value, size);
}

static unsigned piece_size(uint64_t gpa, unsigned left)
{
    unsigned size = left >= 8 ? 8 : left >= 4 ? 4 : left >= 2 ? 2 : 1;
    while (gpa % size)
        size /= 2;
    return size;
}

static void outside_access(struct cpu *cpu, uint64_t gpa, uint8_t *data, unsigned size, bool write)
{
    fp_leave(cpu);
    while (size) {
        unsigned piece = piece_size(gpa, size);
        uint64_t value = 0;
        if (write) {
            memcpy(&value, data, piece);
            outside_write(cpu, gpa, value, piece);
        } else {
            value = outside_read(cpu, gpa, piece);
            memcpy(data, &value, piece);
        }
        gpa += piece;
        data += piece;
        size -= piece;
    }
}

/* ------------------------------------------------------------------ data accesses */

/* With a memory operand, PUSH and CALL write to the stack only, and POP only reads from it. */
static bool is_stack(const struct op *op, unsigned access)
{
    unsigned extension = op->reg & 7u;
    bool write = access & ACCESS_WRITE;
    if (op->opcode == 0xff && (extension == 2 || extension == 3 || extension == 6) && write)
        return true;
    return op->seg == CPU_SS || (op->opcode == 0x8f && !write);
}

static _Noreturn void not_canonical(struct cpu *cpu, const struct op *op, unsigned access)
{
    cpu_fault_code(cpu, is_stack(op, access) ? VEC_SS : VEC_GP, 0);
}

/* Translates one page's part of an access; faults as the guest would see it. */
static uint64_t translate(
        struct cpu *cpu, const struct op *op, uint64_t linear, unsigned access, struct walk *walk)
{
    uint32_t code;
    cpu->op = op;
    cpu->stats.tlb_misses++;
    if (cpu_long_mode(cpu) && !is_canonical(linear))
        not_canonical(cpu, op, access);
    if (cpu->tlb == cpu->tlbs[TLB_USER].entry)
        access |= ACCESS_USER;
    if (mmu_walk(cpu, linear, access, walk, &code) < 0)
        cpu_page_fault(cpu, linear, code);
    return walk->gpa;
}

static void check_alignment(struct cpu *cpu, const struct op *op, uint64_t linear, unsigned size)
{
    if (size > 8 || !(linear & (size - 1)) || !(cpu->eflags & FLAG_AC) || !(cpu->cr0 & CR0_AM))
        return;
    if (cpu->tlb == cpu->tlbs[TLB_USER].entry) {
        cpu->op = op;
        cpu_fault_code(cpu, VEC_AC, 0);
    }
}

static uint64_t mask_linear(const struct cpu *cpu, uint64_t linear)
{
    return cpu_long_mode(cpu) ? linear : (uint32_t)linear;
}

/* A write is about to reach decoded code: all CPUs forget it, and so that this one goes on right
 * after the write, the operation is done again alone. */
static void code_is_written(struct cpu *cpu, const struct slot *slot, uint64_t gpa, unsigned size)
{
    _Atomic uint64_t *lines = slot_lines(slot, gpa);
    if (likely(!(atomic_load_explicit(lines, memory_order_relaxed) & line_mask(gpa, size))))
        return;
    atomic_store(lines, 0);
    bool own = blocks_forget_page(cpu, gpa & PAGE_MASK);
    space_post(cpu->config.space, cpu, gpa, false);
    if (own && !cpu->stepping)
        cpu_restart(cpu);
}

static void read_part(
        struct cpu *cpu, const struct op *op, uint64_t linear, uint8_t *data, unsigned size)
{
    struct walk walk;
    uint64_t gpa = translate(cpu, op, linear, 0, &walk);
    const struct slot *slot = space_find(cpu->config.space, gpa);
    if (!slot)
        outside_access(cpu, gpa, data, size, false);
    else
        memcpy(data, slot_host(slot, gpa), size);
}

static unsigned bytes_in_page(uint64_t linear, unsigned size)
{
    unsigned room = 4096 - (unsigned)(linear & 4095);
    return room < size ? room : size;
}

void *mmu_read_slow(struct cpu *cpu, const struct op *op, uint64_t linear, unsigned size)
{
    linear = mask_linear(cpu, linear);
    check_alignment(cpu, op, linear, size);
    unsigned first = bytes_in_page(linear, size);
    if (first == size) {
        struct walk walk;
        if (tlb_recall(cpu, linear, false))
            return (void *)(linear + tlb_entry(cpu, linear)->addend);
        uint64_t gpa = translate(cpu, op, linear, 0, &walk);
        const struct slot *slot = space_find(cpu->config.space, gpa);
        watch_access(cpu, linear, size, false);
        if (slot) {
            bool writable =
                    cpu->tlb[(linear >> PAGE_BITS) % TLB_ENTRIES].write == (linear & PAGE_MASK);
            tlb_fill(cpu, linear, &walk, slot, writable);
            return slot_host(slot, gpa);
        }
        outside_access(cpu, gpa, cpu->bounce, size, false);
        return cpu->bounce;
    }
    read_part(cpu, op, linear, cpu->bounce, first);
    read_part(cpu, op, mask_linear(cpu, linear + first), cpu->bounce + first, size - first);
    watch_access(cpu, linear, size, false);
    return cpu->bounce;
}

/* One page's part of a write, its translation known. */
static void write_part(struct cpu *cpu, uint64_t gpa, const void *data, unsigned size)
{
    const struct slot *slot = space_find(cpu->config.space, gpa);
    if (!slot || (slot->flags & CPU_SLOT_READONLY)) {
        uint8_t copy[64];
        memcpy(copy, data, size);
        outside_access(cpu, gpa, copy, size, true);
        return;
    }
    slot_mark_dirty(slot, gpa);
    memcpy(slot_host(slot, gpa), data, size);
}

static void prepare_part(struct cpu *cpu, uint64_t gpa, unsigned size)
{
    const struct slot *slot = space_find(cpu->config.space, gpa);
    if (slot && !(slot->flags & CPU_SLOT_READONLY))
        code_is_written(cpu, slot, gpa, size);
}

static void write_crossing(
        struct cpu *cpu, const struct op *op, uint64_t linear, const uint8_t *data, unsigned size)
{
    struct walk walk;
    unsigned first = bytes_in_page(linear, size);
    uint64_t low = translate(cpu, op, linear, ACCESS_WRITE, &walk);
    uint64_t next = mask_linear(cpu, linear + first);
    uint64_t high = translate(cpu, op, next, ACCESS_WRITE, &walk);
    prepare_part(cpu, low, first);
    prepare_part(cpu, high, size - first);
    watch_access(cpu, linear, size, true);
    write_part(cpu, low, data, first);
    write_part(cpu, high, data + first, size - first);
}

/* The host address of a write inside one page, NULL if it is no plain memory (`*ret_gpa` then
 * tells where it goes). */
static void *write_target(
        struct cpu *cpu, const struct op *op, uint64_t linear, unsigned size, uint64_t *ret_gpa)
{
    struct walk walk;
    if (tlb_recall(cpu, linear, true))
        return (void *)(linear + tlb_entry(cpu, linear)->addend);
    uint64_t gpa = translate(cpu, op, linear, ACCESS_WRITE, &walk);
    const struct slot *slot = space_find(cpu->config.space, gpa);
    watch_access(cpu, linear, size, true);
    *ret_gpa = gpa;
    if (!slot || (slot->flags & CPU_SLOT_READONLY))
        return NULL;
    code_is_written(cpu, slot, gpa, size);
    slot_mark_dirty(slot, gpa);
    tlb_fill(cpu, linear, &walk, slot, !atomic_load(slot_lines(slot, gpa)));
    return slot_host(slot, gpa);
}

static void plain_store(void *target, const void *data, unsigned size)
{
    switch (size) { /* one host store each: other vCPUs must not see half of it */
    case 1:
        *(volatile any8 *)target = *(const any8 *)data;
        break;
    case 2:
        *(volatile any16 *)target = *(const any16 *)data;
        break;
    case 4:
        *(volatile any32 *)target = *(const any32 *)data;
        break;
    case 8:
        *(volatile any64 *)target = *(const any64 *)data;
        break;
    default:
        memcpy(target, data, size);
        break;
    }
}

void mmu_write_slow(
        struct cpu *cpu, const struct op *op, uint64_t linear, const void *data, unsigned size)
{
    uint64_t gpa;
    linear = mask_linear(cpu, linear);
    check_alignment(cpu, op, linear, size);
    if (bytes_in_page(linear, size) != size) {
        write_crossing(cpu, op, linear, data, size);
        return;
    }
    void *target = write_target(cpu, op, linear, size, &gpa);
    if (target)
        plain_store(target, data, size);
    else
        write_part(cpu, gpa, data, size);
}

void *mmu_modify_slow(struct cpu *cpu, const struct op *op, uint64_t linear, unsigned size)
{
    uint64_t gpa;
    linear = mask_linear(cpu, linear);
    check_alignment(cpu, op, linear, size);
    unsigned first = bytes_in_page(linear, size);
    if (first == size) {
        void *target = write_target(cpu, op, linear, size, &gpa);
        if (target)
            return target;
        outside_access(cpu, gpa, cpu->bounce, size, false);
    } else {
        struct walk walk;
        uint64_t low = translate(cpu, op, linear, ACCESS_WRITE, &walk);
        uint64_t high = translate(cpu, op, mask_linear(cpu, linear + first), ACCESS_WRITE, &walk);
        prepare_part(cpu, low, first);
        prepare_part(cpu, high, size - first);
        read_part(cpu, op, linear, cpu->bounce, first);
        read_part(cpu, op, mask_linear(cpu, linear + first), cpu->bounce + first, size - first);
    }
    cpu->bounce_linear = linear;
    cpu->write_pending = size;
    cpu->op = op;
    return cpu->bounce;
}

void mmu_commit(struct cpu *cpu)
{
    unsigned size = (unsigned)cpu->write_pending;
    uint8_t data[64];
    cpu->write_pending = 0;
    memcpy(data, cpu->bounce, size);
    mmu_write_slow(cpu, cpu->op, cpu->bounce_linear, data, size);
}

uint64_t mem_load_value(struct cpu *cpu, const struct op *op, uint64_t linear, unsigned size)
{
    switch (size) {
    case 1:
        return load8(cpu, op, linear);
    case 2:
        return load16(cpu, op, linear);
    case 4:
        return load32(cpu, op, linear);
    default:
        return load64(cpu, op, linear);
    }
}

void mem_store_value(
        struct cpu *cpu, const struct op *op, uint64_t linear, uint64_t value, unsigned size)
{
    switch (size) {
    case 1:
        store8(cpu, op, linear, (uint8_t)value);
        break;
    case 2:
        store16(cpu, op, linear, (uint16_t)value);
        break;
    case 4:
        store32(cpu, op, linear, (uint32_t)value);
        break;
    default:
        store64(cpu, op, linear, value);
        break;
    }
}

/* ------------------------------------------------------------------ the CPU's own accesses */

static const struct op system_op = {.seg = SEG_NONE};

static const struct op *any_op(const struct cpu *cpu)
{
    return cpu->op ? cpu->op : &system_op;
}

void sys_load(struct cpu *cpu, uint64_t linear, void *data, unsigned size)
{
    struct tlb_entry *saved = cpu->tlb;
    cpu->tlb = cpu->tlbs[TLB_KERNEL].entry;
    mem_load(cpu, any_op(cpu), linear, data, size);
    cpu->tlb = saved;
}

void sys_store(struct cpu *cpu, uint64_t linear, const void *data, unsigned size)
{
    struct tlb_entry *saved = cpu->tlb;
    cpu->tlb = cpu->tlbs[TLB_KERNEL].entry;
    mem_store(cpu, any_op(cpu), linear, data, size);
    cpu->tlb = saved;
}
