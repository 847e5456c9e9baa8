#include "cpu/segment.h"

#include "cpu/fault.h"
#include "cpu/handler.h"
#include "cpu/mmu.h"

/* ------------------------------------------------------------------ offsets to addresses */

static _Noreturn void segment_fault(struct cpu *cpu, const struct op *op, unsigned seg)
{
    cpu->op = op;
    cpu_fault_code(cpu, seg == CPU_SS ? VEC_SS : VEC_GP, 0);
}

static bool type_allows(const struct cpu_segment *segment, bool write)
{
    if (segment->type & TYPE_CODE)
        return !write && (segment->type & TYPE_READABLE);
    return !write || (segment->type & TYPE_WRITABLE);
}

bool segment_holds(const struct cpu_segment *segment, uint64_t offset, unsigned size)
{
    uint64_t last = offset + size - 1;
    if ((segment->type & (TYPE_CODE | TYPE_EXPAND_DOWN)) == TYPE_EXPAND_DOWN)
        return offset > segment->limit && last <= (segment->db ? 0xffffffffu : 0xffffu);
    return last <= segment->limit || segment->limit == UINT32_MAX; /* it may wrap round */
}

uint64_t seg_linear(struct cpu *cpu, const struct op *op, unsigned seg, uint64_t offset,
        unsigned size, bool write)
{
    if (cpu->mode == MODE_64)
        return offset + cpu->seg_base[seg];
    const struct cpu_segment *segment = &cpu->segment[seg];
    if (cpu_protected(cpu) && (segment->unusable || !type_allows(segment, write)))
        segment_fault(cpu, op, cpu_protected(cpu) && segment->unusable ? CPU_DS : seg);
    if (!segment_holds(segment, offset, size))
        segment_fault(cpu, op, seg);
    return (uint32_t)(segment->base + offset);
}

uint64_t ea_slow(struct cpu *cpu, const struct op *op)
{
    return seg_linear(
            cpu, op, op->seg, ea_offset(cpu, op), op->bytes, (op->flags & OP_WRITES) != 0);
}

uint64_t ea_checked(struct cpu *cpu, const struct op *op, unsigned size, bool write)
{
    return seg_linear(cpu, op, op->seg, ea_offset(cpu, op), size, write);
}

uint64_t moffs_linear(struct cpu *cpu, const struct op *op, bool write)
{
    return seg_linear(cpu, op, op->seg, op->imm, 1u << op->size, write);
}

uint64_t xlat_linear(struct cpu *cpu, const struct op *op)
{
    uint64_t offset = REG64(cpu, CPU_RBX * 8) + REG8(cpu, 0);
    if (op->flags & OP_A16)
        offset = (uint16_t)offset;
    else if (op->flags & OP_A32)
        offset = (uint32_t)offset;
    return seg_linear(cpu, op, op->seg, offset, 1, false);
}

void mask_store(struct cpu *cpu, const struct op *op, const uint8_t *data, const uint8_t *mask,
        unsigned count)
{
    uint64_t offset = cpu->regs[CPU_RDI];
    unsigned seg = op->seg;
    if (op->flags & OP_A16)
        offset = (uint16_t)offset;
    else if (op->flags & OP_A32)
        offset = (uint32_t)offset;
    /* the whole of it must be writable, as the silicon has it, whatever the mask */
    (void)mem_modify(cpu, op, seg_linear(cpu, op, seg, offset, count, true), count);
    cpu->write_pending = 0;
    for (unsigned i = 0; i < count; i++)
        if (mask[i] & 0x80)
            store8(cpu, op, seg_linear(cpu, op, seg, offset + i, 1, true), data[i]);
}

/* ------------------------------------------------------------------ stack */

void stack_push(struct cpu *cpu, const struct op *op, uint64_t *rsp, uint64_t value, unsigned bytes)
{
    uint64_t next = stack_merge(cpu, *rsp - bytes);
    uint64_t linear = seg_linear(cpu, op, CPU_SS, next & stack_mask(cpu), bytes, true);
    mem_store_value(cpu, op, linear, value, bytes);
    *rsp = next;
}

uint64_t stack_pop(struct cpu *cpu, const struct op *op, uint64_t *rsp, unsigned bytes)
{
    uint64_t linear = seg_linear(cpu, op, CPU_SS, *rsp & stack_mask(cpu), bytes, false);
    uint64_t value = mem_load_value(cpu, op, linear, bytes);
    *rsp = stack_merge(cpu, *rsp + bytes);
    return value;
}

/* ------------------------------------------------------------------ descriptors */

struct cpu_segment descriptor_segment(uint64_t low, uint16_t selector)
{
    struct cpu_segment segment = {
            .base = ((low >> 16) & 0xffffff) | ((low >> 56) << 24),
            .limit = (uint32_t)((low & 0xffff) | ((low >> 32) & 0xf0000)),
            .selector = selector,
            .type = (low >> 40) & 15,
            .s = (low >> 44) & 1,
            .dpl = (low >> 45) & 3,
            .present = (low >> 47) & 1,
            .avl = (low >> 52) & 1,
            .l = (low >> 53) & 1,
            .db = (low >> 54) & 1,
            .g = (low >> 55) & 1,
    };
    if (segment.g)
        segment.limit = segment.limit << 12 | 0xfff;
    return segment;
}

bool descriptor_read(struct cpu *cpu, uint16_t selector, struct descriptor *ret)
{
    uint64_t base = cpu->gdt.base, limit = cpu->gdt.limit, offset = selector & 0xfff8u;
    if (selector & 4) {
        if (cpu->ldt.unusable || !(cpu->ldt.selector & 0xfffc))
            return false;
        base = cpu->ldt.base;
        limit = cpu->ldt.limit;
    }
    if (offset + 7 > limit)
        return false;
    *ret = (struct descriptor){.address = base + offset};
    sys_load(cpu, ret->address, &ret->low, 8);
    ret->segment = descriptor_segment(ret->low, selector);
    bool is_wide = !ret->segment.s && cpu_long_mode(cpu);
    if (is_wide && offset + 15 > limit)
        return false;
    if (is_wide) {
        sys_load(cpu, ret->address + 8, &ret->high, 8);
        ret->segment.base |= ret->high << 32;
    }
    return true;
}

void descriptor_mark(struct cpu *cpu, struct descriptor *descriptor, unsigned type)
{
    uint8_t byte;
    descriptor->segment.type = (uint8_t)type;
    sys_load(cpu, descriptor->address + 5, &byte, 1);
    if ((byte & 15) == type)
        return;
    byte = (uint8_t)((byte & 0xf0) | type);
    sys_store(cpu, descriptor->address + 5, &byte, 1);
}

/* ------------------------------------------------------------------ loading */

static void load_null(struct cpu *cpu, unsigned seg, uint16_t selector)
{
    struct cpu_segment *segment = &cpu->segment[seg];
    unsigned rpl = selector & 3;
    if (seg == CPU_SS && (cpu->mode != MODE_64 || cpu->cpl == 3 || rpl != cpu->cpl))
        cpu_fault_code(cpu, VEC_GP, 0);
    uint64_t base = cpu_long_mode(cpu) && seg >= CPU_FS ? 0 : segment->base;
    *segment = (struct cpu_segment){.base = base, .selector = selector, .unusable = 1};
    segment->dpl = seg == CPU_SS ? cpu->cpl : 0;
}

struct cpu_segment segment_read_stack(
        struct cpu *cpu, uint16_t selector, unsigned level, enum cpu_vector vector, uint32_t ext)
{
    struct descriptor descriptor;
    uint32_t code = (selector & 0xfffcu) | ext;
    if (!(selector & 0xfffc) || !descriptor_read(cpu, selector, &descriptor))
        cpu_fault_code(cpu, vector, code);
    const struct cpu_segment *segment = &descriptor.segment;
    bool writable = segment->s && (segment->type & (TYPE_CODE | TYPE_WRITABLE)) == TYPE_WRITABLE;
    if ((selector & 3u) != level || !writable || segment->dpl != level)
        cpu_fault_code(cpu, vector, code);
    if (!segment->present)
        cpu_fault_code(cpu, VEC_SS, code);
    descriptor_mark(cpu, &descriptor, segment->type | TYPE_ACCESSED);
    return descriptor.segment;
}

static void check_data(struct cpu *cpu, const struct cpu_segment *segment, uint16_t selector)
{
    unsigned code = selector & 0xfffcu, rpl = selector & 3;
    bool is_code = segment->type & TYPE_CODE;
    if (!segment->s || (is_code && !(segment->type & TYPE_READABLE)))
        cpu_fault_code(cpu, VEC_GP, code);
    bool conforming = is_code && (segment->type & TYPE_CONFORMING);
    if (!conforming && (rpl > segment->dpl || cpu->cpl > segment->dpl))
        cpu_fault_code(cpu, VEC_GP, code);
    if (!segment->present)
        cpu_fault_code(cpu, VEC_NP, code);
}

static void update_base(struct cpu *cpu, unsigned seg)
{
    cpu->seg_base[seg] = seg >= CPU_FS ? cpu->segment[seg].base : 0;
}

void segment_load_real(struct cpu *cpu, unsigned seg, uint16_t selector)
{
    struct cpu_segment *segment = &cpu->segment[seg];
    segment->selector = selector;
    segment->base = (uint64_t)selector << 4;
    segment->unusable = 0;
    update_base(cpu, seg);
}

static struct cpu_segment read_data(struct cpu *cpu, uint16_t selector)
{
    struct descriptor descriptor;
    if (!descriptor_read(cpu, selector, &descriptor))
        cpu_fault_code(cpu, VEC_GP, selector & 0xfffcu);
    check_data(cpu, &descriptor.segment, selector);
    descriptor_mark(cpu, &descriptor, descriptor.segment.type | TYPE_ACCESSED);
    return descriptor.segment;
}

void segment_load(struct cpu *cpu, unsigned seg, uint16_t selector)
{
    if (!cpu_protected(cpu)) {
        segment_load_real(cpu, seg, selector);
        return;
    }
    if (!(selector & 0xfffc))
        load_null(cpu, seg, selector);
    else if (seg == CPU_SS)
        cpu->segment[seg] = segment_read_stack(cpu, selector, cpu->cpl, VEC_GP, 0);
    else
        cpu->segment[seg] = read_data(cpu, selector);
    update_base(cpu, seg);
}

void segment_changed(struct cpu *cpu)
{
    const struct cpu_segment *cs = &cpu->segment[CPU_CS];
    if (cpu_long_mode(cpu) && cs->l)
        cpu->mode = MODE_64;
    else
        cpu->mode = cpu_protected(cpu) && cs->db ? MODE_32 : MODE_16;
    if (!cpu_protected(cpu) && cs->db)
        cpu->mode = MODE_32;
    for (unsigned seg = 0; seg < CPU_SEGMENTS; seg++)
        update_base(cpu, seg);
    mmu_select(cpu);
}

/* ------------------------------------------------------------------ instructions */

HANDLER(mov_from_segment_r)
{
    reg_set(cpu, op->rm, op->size, cpu->segment[op->reg & 7].selector);
    NEXT;
}

HANDLER(mov_from_segment_m)
{
    store16(cpu, op, ea(cpu, op), cpu->segment[op->reg & 7].selector);
    NEXT;
}

static const struct op *load_done(struct cpu *cpu, const struct op *op, unsigned seg)
{
    if (seg == CPU_SS) {
        cpu->shadow = true;
        cpu->step_trap = false; /* the next instruction, which loads RSP, is not parted from it */
        cpu->hold_debug = true;
    }
    return leave_after(cpu, op);
}

HANDLER(mov_to_segment_r)
{
    cpu->op = op;
    segment_load(cpu, op->reg & 7, REG16(cpu, op->rm));
    return load_done(cpu, op, op->reg & 7);
}

HANDLER(mov_to_segment_m)
{
    cpu->op = op;
    uint16_t selector = load16(cpu, op, ea(cpu, op));
    segment_load(cpu, op->reg & 7, selector);
    return load_done(cpu, op, op->reg & 7);
}

HANDLER(push_segment)
{
    uint64_t rsp = cpu->regs[CPU_RSP];
    unsigned seg = (unsigned)(uintptr_t)op->link;
    stack_push(cpu, op, &rsp, cpu->segment[seg].selector, 1u << op->size);
    cpu->regs[CPU_RSP] = rsp;
    NEXT;
}

HANDLER(pop_segment)
{
    uint64_t rsp = cpu->regs[CPU_RSP];
    unsigned seg = (unsigned)(uintptr_t)op->link;
    cpu->op = op;
    /* two bytes are read whatever the operand's size, as the silicon does it */
    uint16_t selector = (uint16_t)stack_pop(cpu, op, &rsp, sizeof(selector));
    rsp = stack_merge(cpu, cpu->regs[CPU_RSP] + (1u << op->size));
    segment_load(cpu, seg, selector);
    cpu->regs[CPU_RSP] = rsp;
    return load_done(cpu, op, seg);
}

/* LES, LDS, LSS, LFS, LGS: offset, then selector. */
HANDLER(load_pointer)
{
    unsigned bytes = 1u << op->size, seg = (unsigned)(uintptr_t)op->link;
    cpu->op = op;
    uint64_t linear = ea_checked(cpu, op, bytes + 2, false);
    uint64_t offset = mem_load_value(cpu, op, linear, bytes);
    uint16_t selector = load16(cpu, op, linear + bytes);
    segment_load(cpu, seg, selector);
    reg_set(cpu, op->reg, op->size, offset);
    return load_done(cpu, op, seg);
}

#define STACK_ENTRY(text, map_, code_, seg, attr_, way)                                            \
    {                                                                                              \
        .name = text, .map = map_, .code = code_, .form = FORM_NONE, .size = SIZE_D64,             \
        .attr = (attr_) | AT_STACK, .link = (const void *)(uintptr_t)(seg),                        \
        .reg = ALL(way##_segment)                                                                  \
    }
#define POINTER_ENTRY(text, map_, code_, seg, attr_)                                               \
    {                                                                                              \
        .name = text, .map = map_, .code = code_, .form = FORM_GR, .size = SIZE_V,                 \
        .attr = (attr_) | AT_MEM | AT_END, .link = (const void *)(uintptr_t)(seg),                 \
        .mem = ALL(load_pointer)                                                                   \
    }

#define MOV_FROM(seg)                                                                              \
    {                                                                                              \
        .name = "mov", .code = 0x8c, .ext = EXT(seg), .form = FORM_SE, .size = SIZE_V,             \
        .attr = AT_WRITES, .bytes = 2, .reg = ALL(mov_from_segment_r),                             \
        .mem = ALL(mov_from_segment_m)                                                             \
    }
#define MOV_TO(seg)                                                                                \
    {                                                                                              \
        .name = "mov", .code = 0x8e, .ext = EXT(seg), .form = FORM_SE, .size = SIZE_V,             \
        .attr = AT_END, .bytes = 2, .reg = ALL(mov_to_segment_r), .mem = ALL(mov_to_segment_m)     \
    }

/* clang-format off */
static const struct opcode table[] = {
    MOV_FROM(0), MOV_FROM(1), MOV_FROM(2), MOV_FROM(3), MOV_FROM(4), MOV_FROM(5),
    MOV_TO(0), MOV_TO(2), MOV_TO(3), MOV_TO(4), MOV_TO(5),
    STACK_ENTRY("push", MAP_1, 0x06, CPU_ES, AT_NO64, push),
    STACK_ENTRY("pop", MAP_1, 0x07, CPU_ES, AT_NO64 | AT_END, pop),
    STACK_ENTRY("push", MAP_1, 0x0e, CPU_CS, AT_NO64, push),
    STACK_ENTRY("push", MAP_1, 0x16, CPU_SS, AT_NO64, push),
    STACK_ENTRY("pop", MAP_1, 0x17, CPU_SS, AT_NO64 | AT_END, pop),
    STACK_ENTRY("push", MAP_1, 0x1e, CPU_DS, AT_NO64, push),
    STACK_ENTRY("pop", MAP_1, 0x1f, CPU_DS, AT_NO64 | AT_END, pop),
    STACK_ENTRY("push", MAP_0F, 0xa0, CPU_FS, 0, push),
    STACK_ENTRY("pop", MAP_0F, 0xa1, CPU_FS, AT_END, pop),
    STACK_ENTRY("push", MAP_0F, 0xa8, CPU_GS, 0, push),
    STACK_ENTRY("pop", MAP_0F, 0xa9, CPU_GS, AT_END, pop),
    POINTER_ENTRY("les", MAP_1, 0xc4, CPU_ES, AT_NO64),
    POINTER_ENTRY("lds", MAP_1, 0xc5, CPU_DS, AT_NO64),
    POINTER_ENTRY("lss", MAP_0F, 0xb2, CPU_SS, 0),
    POINTER_ENTRY("lfs", MAP_0F, 0xb4, CPU_FS, 0),
    POINTER_ENTRY("lgs", MAP_0F, 0xb5, CPU_GS, 0),
};
/* clang-format on */

const struct opcode_list segment_opcodes = {table, sizeof(table) / sizeof(table[0])};
