#include "cpu/flags.h"
#include "cpu/handler.h"
#include "cpu/mmu.h"
#include "cpu/segment.h"

/* Instructions on descriptor tables and descriptors: SGDT … VERW. */

static void umip_check(struct cpu *cpu, const struct op *op)
{
    cpu->op = op;
    if (cpu->cpl && (cpu->cr4 & CR4_UMIP))
        cpu_fault_code(cpu, VEC_GP, 0);
}

static unsigned table_bytes(const struct op *op)
{
    return op->flags & OP_MODE64 ? 8 : 4;
}

static const struct op *store_table(
        struct cpu *cpu, const struct op *op, const struct cpu_table *table)
{
    umip_check(cpu, op);
    uint8_t image[10];
    memcpy(image, &table->limit, 2);
    memcpy(image + 2, &table->base, 8);
    unsigned bytes = 2 + table_bytes(op);
    mem_store(cpu, op, ea_checked(cpu, op, bytes, true), image, bytes);
    return op + 1;
}

static const struct op *load_table(struct cpu *cpu, const struct op *op, struct cpu_table *table)
{
    uint8_t image[10] = {0};
    cpu->op = op;
    cpu_need_ring0(cpu);
    unsigned bytes = 2 + table_bytes(op);
    mem_load(cpu, op, ea_checked(cpu, op, bytes, false), image, bytes);
    uint64_t base;
    memcpy(&base, image + 2, 8);
    if ((op->flags & OP_MODE64) && !is_canonical(base))
        cpu_fault_code(cpu, VEC_GP, 0);
    if (op->size == 1)
        base &= 0xffffff;
    memcpy(&table->limit, image, 2);
    table->base = base;
    return leave_after(cpu, op);
}

HANDLER(sgdt)
{
    return store_table(cpu, op, &cpu->gdt);
}

HANDLER(sidt)
{
    return store_table(cpu, op, &cpu->idt);
}

HANDLER(lgdt)
{
    return load_table(cpu, op, &cpu->gdt);
}

HANDLER(lidt)
{
    return load_table(cpu, op, &cpu->idt);
}

/* ------------------------------------------------------------------ LDTR, TR */

static void store_selector(struct cpu *cpu, const struct op *op, uint16_t selector, bool is_mem)
{
    umip_check(cpu, op);
    if (!cpu_protected(cpu))
        cpu_fault(cpu, VEC_UD);
    if (is_mem)
        store16(cpu, op, ea(cpu, op), selector);
    else
        reg_set(cpu, op->rm, op->size, selector);
}

static uint16_t operand_16(struct cpu *cpu, const struct op *op, bool is_mem)
{
    return is_mem ? load16(cpu, op, ea(cpu, op)) : REG16(cpu, op->rm);
}

static void load_ldt(struct cpu *cpu, uint16_t selector)
{
    struct descriptor descriptor;
    uint32_t code = selector & 0xfffcu;
    if (!code) {
        cpu->ldt = (struct cpu_segment){.selector = selector, .unusable = 1};
        return;
    }
    if ((selector & 4) || !descriptor_read(cpu, selector, &descriptor) || descriptor.segment.s ||
            descriptor.segment.type != TYPE_LDT)
        cpu_fault_code(cpu, VEC_GP, code);
    if (!descriptor.segment.present)
        cpu_fault_code(cpu, VEC_NP, code);
    cpu->ldt = descriptor.segment;
}

static void load_task(struct cpu *cpu, uint16_t selector)
{
    struct descriptor descriptor;
    uint32_t code = selector & 0xfffcu;
    if (!code || (selector & 4) || !descriptor_read(cpu, selector, &descriptor))
        cpu_fault_code(cpu, VEC_GP, code);
    unsigned type = descriptor.segment.type;
    bool fits = type == TYPE_TSS32 || (type == TYPE_TSS16 && !cpu_long_mode(cpu));
    if (descriptor.segment.s || !fits)
        cpu_fault_code(cpu, VEC_GP, code);
    if (!descriptor.segment.present)
        cpu_fault_code(cpu, VEC_NP, code);
    descriptor_mark(cpu, &descriptor, type | 2);
    cpu->tr = descriptor.segment;
}

static const struct op *load_system(
        struct cpu *cpu, const struct op *op, bool is_mem, void (*load)(struct cpu *, uint16_t))
{
    cpu->op = op;
    if (!cpu_protected(cpu))
        cpu_fault(cpu, VEC_UD);
    cpu_need_ring0(cpu);
    load(cpu, operand_16(cpu, op, is_mem));
    return op + 1;
}

#define BOTH(name, r, m)                                                                           \
    HANDLER(name##_r)                                                                              \
    {                                                                                              \
        r;                                                                                         \
    }                                                                                              \
    HANDLER(name##_m)                                                                              \
    {                                                                                              \
        m;                                                                                         \
    }
#define STORES(name, selector)                                                                     \
    HANDLER(name##_r)                                                                              \
    {                                                                                              \
        store_selector(cpu, op, selector, false);                                                  \
        return op + 1;                                                                             \
    }                                                                                              \
    HANDLER(name##_m)                                                                              \
    {                                                                                              \
        store_selector(cpu, op, selector, true);                                                   \
        return op + 1;                                                                             \
    }
STORES(sldt, cpu->ldt.selector)
STORES(str, cpu->tr.selector)
BOTH(lldt, return load_system(cpu, op, false, load_ldt),
        return load_system(cpu, op, true, load_ldt))
BOTH(ltr, return load_system(cpu, op, false, load_task),
        return load_system(cpu, op, true, load_task))

/* ------------------------------------------------------------------ LAR, LSL, VERR, VERW */

static bool visible(const struct cpu *cpu, const struct descriptor *descriptor, uint16_t selector)
{
    const struct cpu_segment *segment = &descriptor->segment;
    bool conforming =
            segment->s && (segment->type & TYPE_CODE) && (segment->type & TYPE_CONFORMING);
    return conforming || (cpu->cpl <= segment->dpl && (selector & 3u) <= segment->dpl);
}

/* System descriptor types that LAR and LSL accept, one bit each, outside and in long mode. */
static bool type_shown(const struct cpu *cpu, const struct cpu_segment *segment, bool limit)
{
    static const uint16_t lar[2] = {0x1a3e, 0x1a04}, lsl[2] = {0x0a0e, 0x0a04};
    bool long_mode = cpu_long_mode(cpu);
    if (segment->s)
        return true;
    return ((limit ? lsl : lar)[long_mode] >> segment->type) & 1;
}

static const struct op *show(struct cpu *cpu, const struct op *op, bool is_mem, bool limit)
{
    struct descriptor descriptor;
    cpu->op = op;
    if (!cpu_protected(cpu))
        cpu_fault(cpu, VEC_UD);
    uint16_t selector = operand_16(cpu, op, is_mem);
    bool ok = (selector & 0xfffc) && descriptor_read(cpu, selector, &descriptor) &&
              visible(cpu, &descriptor, selector) && type_shown(cpu, &descriptor.segment, limit);
    flags_set_bit(cpu, RAW_ZF, ok);
    if (ok)
        reg_set(cpu, op->reg, op->size,
                limit ? descriptor.segment.limit : (descriptor.low >> 32) & 0xffff00);
    return op + 1;
}
BOTH(lar, return show(cpu, op, false, false), return show(cpu, op, true, false))
BOTH(lsl, return show(cpu, op, false, true), return show(cpu, op, true, true))

static const struct op *verify(struct cpu *cpu, const struct op *op, bool is_mem, bool write)
{
    struct descriptor descriptor;
    cpu->op = op;
    if (!cpu_protected(cpu))
        cpu_fault(cpu, VEC_UD);
    uint16_t selector = operand_16(cpu, op, is_mem);
    bool ok = (selector & 0xfffc) && descriptor_read(cpu, selector, &descriptor) &&
              descriptor.segment.s && visible(cpu, &descriptor, selector);
    if (ok) {
        unsigned type = descriptor.segment.type;
        if (type & TYPE_CODE)
            ok = !write && (type & TYPE_READABLE);
        else
            ok = !write || (type & TYPE_WRITABLE);
    }
    flags_set_bit(cpu, RAW_ZF, ok);
    return op + 1;
}
BOTH(verr, return verify(cpu, op, false, false), return verify(cpu, op, true, false))
BOTH(verw, return verify(cpu, op, false, true), return verify(cpu, op, true, true))

#define SYSTEM(text, fn, code_, n, attr_)                                                          \
    {                                                                                              \
        .name = text, .map = MAP_0F, .code = code_, .ext = EXT(n), .form = FORM_E, .size = SIZE_V, \
        .bytes = 2, .attr = attr_, .reg = ALL(fn##_r), .mem = ALL(fn##_m)                          \
    }
#define TABLE(text, fn, n, attr_)                                                                  \
    {                                                                                              \
        .name = text, .map = MAP_0F, .code = 0x01, .ext = EXT(n), .form = FORM_E, .size = SIZE_V,  \
        .bytes = 10, .attr = (attr_) | AT_MEM, .mem = ALL(fn)                                      \
    }

/* clang-format off */
static const struct opcode table[] = {
    SYSTEM("sldt", sldt, 0x00, 0, AT_WRITES),
    SYSTEM("str", str, 0x00, 1, AT_WRITES),
    SYSTEM("lldt", lldt, 0x00, 2, 0),
    SYSTEM("ltr", ltr, 0x00, 3, 0),
    SYSTEM("verr", verr, 0x00, 4, 0),
    SYSTEM("verw", verw, 0x00, 5, 0),
    TABLE("sgdt", sgdt, 0, AT_WRITES),
    TABLE("sidt", sidt, 1, AT_WRITES),
    TABLE("lgdt", lgdt, 2, AT_END),
    TABLE("lidt", lidt, 3, AT_END),
    {.name = "lar", .map = MAP_0F, .code = 0x02, .form = FORM_GR, .size = SIZE_V, .bytes = 2, .reg = ALL(lar_r), .mem = ALL(lar_m)},
    {.name = "lsl", .map = MAP_0F, .code = 0x03, .form = FORM_GR, .size = SIZE_V, .bytes = 2, .reg = ALL(lsl_r), .mem = ALL(lsl_m)},
};
/* clang-format on */

const struct opcode_list descriptor_opcodes = {table, sizeof(table) / sizeof(table[0])};
