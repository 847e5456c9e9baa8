#include "cpu/flags.h"
#include "cpu/handler.h"
#include "cpu/port.h"
#include "cpu/segment.h"

/*
 * MOVS, STOS, LODS, CMPS, SCAS, INS, OUTS. Registers move on after each element, so that a fault
 * leaves them as the hardware would. Repeated forms take one element at a time, except that whole
 * runs inside a page of MOVS and STOS are done by the host at once. A repetition that is long lets
 * the loop look at interrupts: it leaves the block with RIP at itself.
 */
#define REPEAT_SLICE 4096u

static uint64_t address_mask(const struct op *op)
{
    return op->flags & OP_A16 ? 0xffffull : op->flags & OP_A32 ? 0xffffffffull : ~0ull;
}

static void advance(struct cpu *cpu, const struct op *op, unsigned reg, uint64_t by)
{
    uint64_t value = cpu->regs[reg] + by;
    if (op->flags & OP_A16)
        REG16(cpu, reg * 8) = (uint16_t)value;
    else
        cpu->regs[reg] = value & address_mask(op);
}

static uint64_t step_of(const struct cpu *cpu, const struct op *op)
{
    uint64_t bytes = 1u << op->size;
    return cpu->eflags & FLAG_DF ? 0 - bytes : bytes;
}

static uint64_t source(struct cpu *cpu, const struct op *op)
{
    return seg_linear(
            cpu, op, op->seg, cpu->regs[CPU_RSI] & address_mask(op), 1u << op->size, false);
}

static uint64_t target(struct cpu *cpu, const struct op *op, bool write)
{
    return seg_linear(
            cpu, op, CPU_ES, cpu->regs[CPU_RDI] & address_mask(op), 1u << op->size, write);
}

/* ------------------------------------------------------------------ one element */

static void movs_one(struct cpu *cpu, const struct op *op)
{
    unsigned bytes = 1u << op->size;
    uint64_t value = mem_load_value(cpu, op, source(cpu, op), bytes);
    mem_store_value(cpu, op, target(cpu, op, true), value, bytes);
    advance(cpu, op, CPU_RSI, step_of(cpu, op));
    advance(cpu, op, CPU_RDI, step_of(cpu, op));
}

static void stos_one(struct cpu *cpu, const struct op *op)
{
    mem_store_value(cpu, op, target(cpu, op, true), cpu->regs[CPU_RAX], 1u << op->size);
    advance(cpu, op, CPU_RDI, step_of(cpu, op));
}

static void lods_one(struct cpu *cpu, const struct op *op)
{
    reg_set(cpu, 0, op->size, mem_load_value(cpu, op, source(cpu, op), 1u << op->size));
    advance(cpu, op, CPU_RSI, step_of(cpu, op));
}

static void compare(struct cpu *cpu, const struct op *op, uint64_t a, uint64_t b)
{
    unsigned shift = 64 - (8u << op->size);
    uint16_t raw, low;
    a <<= shift;
    b <<= shift;
    __asm__("cmpq %[b], %[a]" FLAGS_OUT : "=&a"(raw) : [a] "r"(a), [b] "r"(b) : "cc");
    uint64_t x = a >> shift, y = b >> shift;
    __asm__("cmpb %b[b], %b[a]" FLAGS_OUT : "=&a"(low) : [a] "r"(x), [b] "r"(y) : "cc");
    /* parity and adjust look at the low byte */
    cpu->raw = (uint16_t)((raw & ~(RAW_PF | RAW_AF)) | (low & (RAW_PF | RAW_AF)));
}

static void cmps_one(struct cpu *cpu, const struct op *op)
{
    unsigned bytes = 1u << op->size;
    uint64_t b = mem_load_value(cpu, op, target(cpu, op, false), bytes); /* faults first */
    uint64_t a = mem_load_value(cpu, op, source(cpu, op), bytes);
    advance(cpu, op, CPU_RSI, step_of(cpu, op));
    advance(cpu, op, CPU_RDI, step_of(cpu, op));
    compare(cpu, op, a, b);
}

static void scas_one(struct cpu *cpu, const struct op *op)
{
    uint64_t b = mem_load_value(cpu, op, target(cpu, op, false), 1u << op->size);
    advance(cpu, op, CPU_RDI, step_of(cpu, op));
    compare(cpu, op, cpu->regs[CPU_RAX], b);
}

static void ins_one(struct cpu *cpu, const struct op *op)
{
    unsigned bytes = 1u << op->size;
    uint16_t port = REG16(cpu, CPU_RDX * 8);
    port_check(cpu, op, port, bytes);
    uint64_t linear = target(cpu, op, true);
    void *probe = mem_modify(cpu, op, linear, bytes); /* faults come before the port is read */
    (void)probe;
    cpu->write_pending = 0;
    mem_store_value(cpu, op, linear, port_read(cpu, port, bytes), bytes);
    advance(cpu, op, CPU_RDI, step_of(cpu, op));
}

static void outs_one(struct cpu *cpu, const struct op *op)
{
    unsigned bytes = 1u << op->size;
    uint16_t port = REG16(cpu, CPU_RDX * 8);
    port_check(cpu, op, port, bytes);
    uint64_t value = mem_load_value(cpu, op, source(cpu, op), bytes);
    port_write(cpu, port, (uint32_t)value, bytes);
    advance(cpu, op, CPU_RSI, step_of(cpu, op));
}

/* ------------------------------------------------------------------ repeated */

static uint64_t count_get(const struct cpu *cpu, const struct op *op)
{
    return cpu->regs[CPU_RCX] & address_mask(op);
}

static void count_less(struct cpu *cpu, const struct op *op, uint64_t by)
{
    advance(cpu, op, CPU_RCX, 0 - by);
}

static uint64_t run_in_page(uint64_t linear, uint64_t count, unsigned size)
{
    uint64_t room = (PAGE_BYTES - (linear & 4095)) >> size;
    return room < count ? room : count;
}

static void host_copy(uint8_t *to, const uint8_t *from, size_t bytes)
{
    __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(bytes) : : "memory");
}

static void host_fill(uint8_t *to, uint64_t value, uint64_t count, unsigned size)
{
    switch (size) {
    case 0:
        __asm__ volatile("rep stosb" : "+D"(to), "+c"(count) : "a"(value) : "memory");
        break;
    case 1:
        __asm__ volatile("rep stosw" : "+D"(to), "+c"(count) : "a"(value) : "memory");
        break;
    case 2:
        __asm__ volatile("rep stosl" : "+D"(to), "+c"(count) : "a"(value) : "memory");
        break;
    default:
        __asm__ volatile("rep stosq" : "+D"(to), "+c"(count) : "a"(value) : "memory");
        break;
    }
}

static bool plain_forward(const struct cpu *cpu, const struct op *op)
{
    return !(cpu->eflags & FLAG_DF) && cpu->mode == MODE_64 && !(op->flags & (OP_A16 | OP_A32)) &&
           !cpu->watching;
}

/* Elements done at once by the host: 0 when this place needs the slow way. Nothing is copied past
 * the start of an overlapping target, where elements would have to be seen in order. */
static uint64_t movs_run(struct cpu *cpu, const struct op *op, uint64_t count)
{
    uint64_t from = source(cpu, op), to = target(cpu, op, true);
    const struct tlb_entry *reads = tlb_entry(cpu, from), *writes = tlb_entry(cpu, to);
    if (reads->read != (from & PAGE_MASK) || writes->write != (to & PAGE_MASK))
        return 0;
    count = run_in_page(from, run_in_page(to, count, op->size), op->size);
    const uint8_t *host_from = (const uint8_t *)(from + reads->addend);
    uint8_t *host_to = (uint8_t *)(to + writes->addend);
    uint64_t bytes = count << op->size;
    if ((uintptr_t)(host_to - host_from) < bytes && host_to != host_from)
        return 0;
    host_copy(host_to, host_from, bytes);
    cpu->regs[CPU_RSI] += bytes;
    cpu->regs[CPU_RDI] += bytes;
    return count;
}

static uint64_t stos_run(struct cpu *cpu, const struct op *op, uint64_t count)
{
    uint64_t to = target(cpu, op, true);
    const struct tlb_entry *writes = tlb_entry(cpu, to);
    if (writes->write != (to & PAGE_MASK))
        return 0;
    count = run_in_page(to, count, op->size);
    host_fill((uint8_t *)(to + writes->addend), cpu->regs[CPU_RAX], count, op->size);
    cpu->regs[CPU_RDI] += count << op->size;
    return count;
}

typedef void one_element(struct cpu *cpu, const struct op *op);
typedef uint64_t many_elements(struct cpu *cpu, const struct op *op, uint64_t count);

/* The instruction is not finished: the loop may deliver an interrupt and come back to it. */
static const struct op *come_back(struct cpu *cpu, const struct op *op)
{
    cpu->rip = rip_of_linear(cpu, op_linear(cpu, op));
    cpu->left -= op->count - 1;
    cpu->left -= 1;         /* so that an endless chain of them still uses up the budget */
    cpu->eflags |= FLAG_RF; /* no breakpoint here again; what interrupts it saves that */
    return NULL;
}

/* `ends` is the zero flag's value that ends a comparison, or -1. */
static const struct op *repeat(
        struct cpu *cpu, const struct op *op, one_element *one, many_elements *many, int ends)
{
    uint64_t count;
    unsigned done = 0;
    bool fast = many && plain_forward(cpu, op);
    unsigned slice = cpu->eflags & FLAG_TF ? 1 : REPEAT_SLICE;
    while ((count = count_get(cpu, op)) != 0) {
        uint64_t run = fast ? many(cpu, op, count) : 0;
        if (!run) {
            one(cpu, op);
            run = 1;
        }
        count_less(cpu, op, run);
        if (ends >= 0 && !!(cpu->raw & RAW_ZF) == ends)
            break;
        if (++done >= slice && count > run)
            return come_back(cpu, op);
    }
    return op + 1;
}

/* Whether a port may be used is looked at before the count, as the silicon has it. */
#define STRING_AFTER(first, name, many)                                                            \
    HANDLER(name)                                                                                  \
    {                                                                                              \
        name##_one(cpu, op);                                                                       \
        NEXT;                                                                                      \
    }                                                                                              \
    HANDLER(rep_##name)                                                                            \
    {                                                                                              \
        first;                                                                                     \
        return repeat(cpu, op, name##_one, many, -1);                                              \
    }
#define STRING(name, many) STRING_AFTER(, name, many)
#define STRING_PORT(name)                                                                          \
    STRING_AFTER(port_check(cpu, op, REG16(cpu, CPU_RDX * 8), 1u << op->size), name, NULL)
#define STRING_COMPARE(name)                                                                       \
    HANDLER(name)                                                                                  \
    {                                                                                              \
        name##_one(cpu, op);                                                                       \
        NEXT;                                                                                      \
    }                                                                                              \
    HANDLER(rep_##name)                                                                            \
    {                                                                                              \
        return repeat(cpu, op, name##_one, NULL, op->flags & OP_REPNE ? 1 : 0);                    \
    }
STRING(movs, movs_run)
STRING(stos, stos_run)
STRING(lods, NULL)
STRING_PORT(ins)
STRING_PORT(outs)
STRING_COMPARE(cmps)
STRING_COMPARE(scas)

#define ENTRY(text, code_, size_, fn)                                                              \
    {.name = text,                                                                                 \
            .code = code_,                                                                         \
            .size = SIZE_B,                                                                        \
            .attr = AT_REP,                                                                        \
            .reg = ALL(fn),                                                                        \
            .lock = ALL(rep_##fn)},                                                                \
    {                                                                                              \
        .name = text, .code = code_ + 1, .size = size_, .attr = AT_REP, .reg = ALL(fn),            \
        .lock = ALL(rep_##fn)                                                                      \
    }

static const struct opcode table[] = {
        ENTRY("ins", 0x6c, SIZE_DIR, ins),
        ENTRY("outs", 0x6e, SIZE_DIR, outs),
        ENTRY("movs", 0xa4, SIZE_V, movs),
        ENTRY("cmps", 0xa6, SIZE_V, cmps),
        ENTRY("stos", 0xaa, SIZE_V, stos),
        ENTRY("lods", 0xac, SIZE_V, lods),
        ENTRY("scas", 0xae, SIZE_V, scas),
};

const struct opcode_list string_opcodes = {table, sizeof(table) / sizeof(table[0])};
