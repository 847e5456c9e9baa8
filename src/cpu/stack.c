#include "cpu/flags.h"
#include "cpu/handler.h"
#include "cpu/mmu.h"
#include "cpu/segment.h"

#define RSP (cpu->regs[CPU_RSP])

/* ------------------------------------------------------------------ PUSH, POP: 64 bits */

static inline void push_64(struct cpu *cpu, const struct op *op, uint64_t value)
{
    store64(cpu, op, RSP - 8, value);
    RSP -= 8;
}

HANDLER(push_r_64)
{
    push_64(cpu, op, REG64(cpu, op->rm));
    NEXT;
}

HANDLER(push_i_64)
{
    push_64(cpu, op, op->imm);
    NEXT;
}

HANDLER(push_m_64)
{
    push_64(cpu, op, load64(cpu, op, ea(cpu, op)));
    NEXT;
}

HANDLER(pop_r_64)
{
    uint64_t value = load64(cpu, op, RSP);
    RSP += 8;
    REG64(cpu, op->rm) = value;
    NEXT;
}

/* ------------------------------------------------------------------ any size and mode */

static void push_any(struct cpu *cpu, const struct op *op, uint64_t value)
{
    uint64_t rsp = RSP;
    stack_push(cpu, op, &rsp, value, 1u << op->size);
    RSP = rsp;
}

HANDLER(push_r_any)
{
    push_any(cpu, op, REG64(cpu, op->rm));
    NEXT;
}

HANDLER(push_i_any)
{
    push_any(cpu, op, op->imm);
    NEXT;
}

HANDLER(push_m_any)
{
    push_any(cpu, op, mem_load_value(cpu, op, ea(cpu, op), 1u << op->size));
    NEXT;
}

HANDLER(pop_r_any)
{
    uint64_t rsp = RSP, value = stack_pop(cpu, op, &rsp, 1u << op->size);
    RSP = rsp;
    reg_set(cpu, op->rm, op->size, value);
    NEXT;
}

/* The address of POP's memory operand is computed with RSP already moved. */
HANDLER(pop_m_any)
{
    uint64_t old = RSP, rsp = old, value = stack_pop(cpu, op, &rsp, 1u << op->size);
    struct op moved = *op;
    if (op->base == CPU_RSP * 8)
        moved.disp += 1 << op->size;
    mem_store_value(cpu, op, ea(cpu, &moved), value, 1u << op->size);
    RSP = rsp;
    return op + 1;
}

#define PUSHED_REGISTERS 8

HANDLER(pusha)
{
    uint64_t rsp = RSP;
    for (unsigned reg = 0; reg < PUSHED_REGISTERS; reg++)
        stack_push(cpu, op, &rsp, cpu->regs[reg], 1u << op->size);
    RSP = rsp;
    return op + 1;
}

HANDLER(popa)
{
    uint64_t rsp = RSP, value[PUSHED_REGISTERS];
    for (unsigned reg = PUSHED_REGISTERS; reg-- > 0;)
        value[reg] = stack_pop(cpu, op, &rsp, 1u << op->size);
    for (unsigned reg = 0; reg < PUSHED_REGISTERS; reg++)
        if (reg != CPU_RSP)
            reg_set(cpu, reg * 8, op->size, value[reg]);
    RSP = rsp;
    return op + 1;
}

/* ------------------------------------------------------------------ flags */

HANDLER(pushf)
{
    push_any(cpu, op, flags_get(cpu) & ~(FLAG_RF | FLAG_VM));
    return op + 1;
}

HANDLER(popf)
{
    uint64_t rsp = RSP, value = stack_pop(cpu, op, &rsp, 1u << op->size);
    uint32_t mask = FLAGS_ARITH | FLAG_TF | FLAG_DF | FLAG_NT | FLAG_AC | FLAG_ID;
    if (!cpu_protected(cpu) || cpu->cpl == 0)
        mask |= FLAG_IF | FLAG_IOPL;
    else if (cpu->cpl <= (cpu->eflags & FLAG_IOPL) >> 12)
        mask |= FLAG_IF;
    if (op->size == 1)
        mask &= 0xffff;
    RSP = rsp;
    flags_set(cpu, (uint32_t)value & ~FLAG_RF, mask | (op->size == 1 ? 0 : FLAG_RF));
    mmu_select(cpu);
    return leave_after(cpu, op);
}

/* ------------------------------------------------------------------ ENTER, LEAVE */

HANDLER(leave_op)
{
    unsigned bytes = 1u << op->size;
    uint64_t rsp = stack_merge(cpu, cpu->regs[CPU_RBP]);
    uint64_t value = stack_pop(cpu, op, &rsp, bytes);
    RSP = rsp;
    reg_set(cpu, CPU_RBP * 8, op->size, value);
    NEXT;
}

HANDLER(enter)
{
    unsigned bytes = 1u << op->size, level = (op->imm >> 16) & 31;
    uint64_t rsp = RSP, frame, rbp = cpu->regs[CPU_RBP];
    stack_push(cpu, op, &rsp, rbp, bytes);
    frame = rsp;
    for (unsigned i = 1; i < level; i++) {
        uint64_t at = stack_merge(cpu, rbp - i * bytes) & stack_mask(cpu);
        uint64_t linear = seg_linear(cpu, op, CPU_SS, at, bytes, false);
        stack_push(cpu, op, &rsp, mem_load_value(cpu, op, linear, bytes), bytes);
    }
    if (level)
        stack_push(cpu, op, &rsp, frame, bytes);
    rsp = stack_merge(cpu, rsp - (op->imm & 0xffff));
    uint64_t linear = seg_linear(cpu, op, CPU_SS, rsp & stack_mask(cpu), bytes, true);
    (void)mem_modify(cpu, op, linear, bytes); /* the new top must be writable */
    cpu->write_pending = 0;
    RSP = rsp;
    reg_set(cpu, CPU_RBP * 8, op->size, frame);
    return op + 1;
}

/* ------------------------------------------------------------------ table */

#define FAST_64(fn)                                                                                \
    {                                                                                              \
        NULL, fn##_any, fn##_any, fn##_64                                                          \
    }

/* clang-format off */
static const struct opcode table[] = {
    {.name = "push", .code = 0x50, .span = 8, .form = FORM_O, .size = SIZE_D64, .attr = AT_STACK, .reg = FAST_64(push_r)},
    {.name = "pop", .code = 0x58, .span = 8, .form = FORM_O, .size = SIZE_D64, .attr = AT_STACK, .reg = FAST_64(pop_r)},
    {.name = "push", .code = 0x68, .form = FORM_IZ, .size = SIZE_D64, .attr = AT_STACK, .reg = FAST_64(push_i)},
    {.name = "push", .code = 0x6a, .form = FORM_IB, .size = SIZE_D64, .attr = AT_STACK, .reg = FAST_64(push_i)},
    {.name = "push", .code = 0xff, .ext = EXT(6), .form = FORM_E, .size = SIZE_D64, .attr = AT_STACK, .reg = FAST_64(push_r), .mem = FAST_64(push_m)},
    {.name = "pop", .code = 0x8f, .ext = EXT(0), .form = FORM_E, .size = SIZE_D64, .attr = AT_STACK | AT_WRITES, .reg = FAST_64(pop_r), .mem = ALL(pop_m_any)},
    {.name = "pusha", .code = 0x60, .size = SIZE_V, .attr = AT_STACK | AT_NO64, .reg = ALL(pusha)},
    {.name = "popa", .code = 0x61, .size = SIZE_V, .attr = AT_STACK | AT_NO64, .reg = ALL(popa)},
    {.name = "pushf", .code = 0x9c, .size = SIZE_D64, .attr = AT_STACK, .reg = ALL(pushf)},
    {.name = "popf", .code = 0x9d, .size = SIZE_D64, .attr = AT_STACK | AT_END, .reg = ALL(popf)},
    {.name = "enter", .code = 0xc8, .form = FORM_IWIB, .size = SIZE_D64, .attr = AT_STACK, .reg = ALL(enter)},
    {.name = "leave", .code = 0xc9, .size = SIZE_D64, .attr = AT_STACK, .reg = ALL(leave_op)},
};
/* clang-format on */

const struct opcode_list stack_opcodes = {table, sizeof(table) / sizeof(table[0])};
