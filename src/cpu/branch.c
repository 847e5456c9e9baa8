#include "cpu/branch.h"

#include "cpu/flags.h"
#include "cpu/handler.h"
#include "cpu/mmu.h"
#include "cpu/segment.h"

/* ------------------------------------------------------------------ ways to go on */

/* Real and protected mode: the offset is cut to the operand size and checked against the limit. */
const struct op *branch_legacy(struct cpu *cpu, const struct op *op, uint64_t offset)
{
    offset = branch_mask(op, offset);
    branch_check(cpu, op, offset);
    return jump_linear(cpu, op, (uint32_t)(cpu->segment[CPU_CS].base + offset));
}

void branch_check(struct cpu *cpu, const struct op *op, uint64_t offset)
{
    cpu->op = op;
    if (op->flags & OP_MODE64)
        return;
    if (offset > cpu->segment[CPU_CS].limit)
        cpu_fault_code(cpu, VEC_GP, 0);
}

/* A direct branch taken: its target in the same page is remembered in the operation. */
static inline const struct op *branch_direct(struct cpu *cpu, const struct op *op)
{
    if (likely(op->link != NULL)) {
        cpu->left -= op->count;
        if (likely(cpu->left > 0))
            GOTO((const struct op *)op->link);
        cpu->rip = op_next_rip(cpu, op) + op->imm;
        if (unlikely(!(op->flags & OP_MODE64)))
            cpu->rip = branch_mask(op, cpu->rip);
        return NULL;
    }
    uint64_t target = op_next_linear(cpu, op) + op->imm;
    if (unlikely(!(op->flags & OP_MODE64)))
        return branch_legacy(cpu, op, op_next_rip(cpu, op) + op->imm);
    if ((target ^ cpu->regs[REG_PAGE]) < PAGE_BYTES) {
        cpu->chain_from = (struct op *)op;
        cpu->left -= op->count;
        cpu->rip = target;
        return NULL;
    }
    return jump_linear(cpu, op, target);
}

/* An indirect one. */
static inline const struct op *branch_to(struct cpu *cpu, const struct op *op, uint64_t offset)
{
    if (unlikely(!(op->flags & OP_MODE64)))
        return branch_legacy(cpu, op, offset);
    return jump_linear(cpu, op, offset);
}

/* ------------------------------------------------------------------ conditional */

#define JCC(cc, code)                                                                              \
    HANDLER(j##cc)                                                                                 \
    {                                                                                              \
        if (condition(cpu, code))                                                                  \
            return branch_direct(cpu, op);                                                         \
        NEXT;                                                                                      \
    }
CONDITIONS(JCC)

/* RCX as LOOP and JCXZ count: of the address size. */
static uint64_t counter(const struct cpu *cpu, const struct op *op, uint64_t delta)
{
    uint64_t value = cpu->regs[CPU_RCX] + delta;
    if (op->flags & OP_A16)
        return (uint16_t)value;
    return op->flags & OP_A32 ? (uint32_t)value : value;
}

static void counter_set(struct cpu *cpu, const struct op *op, uint64_t value)
{
    if (op->flags & OP_A16)
        REG16(cpu, CPU_RCX * 8) = (uint16_t)value;
    else
        cpu->regs[CPU_RCX] = value;
}

HANDLER(jcxz)
{
    if (!counter(cpu, op, 0))
        return branch_direct(cpu, op);
    NEXT;
}

#define LOOP(name, condition_)                                                                     \
    HANDLER(name)                                                                                  \
    {                                                                                              \
        uint64_t count = counter(cpu, op, ~0ull);                                                  \
        bool taken = count && (condition_);                                                        \
        if (taken && unlikely(!(op->flags & OP_MODE64)))                                           \
            branch_check(cpu, op, branch_mask(op, op_next_rip(cpu, op) + op->imm));                \
        counter_set(cpu, op, count);                                                               \
        if (taken)                                                                                 \
            return branch_direct(cpu, op);                                                         \
        NEXT;                                                                                      \
    }
LOOP(loop, true)
LOOP(loope, cpu->raw &RAW_ZF)
LOOP(loopne, !(cpu->raw & RAW_ZF))

/* ------------------------------------------------------------------ JMP, CALL, RET */

/* A target that is no address faults here, before anything has changed. */
static inline void check_target(struct cpu *cpu, const struct op *op, uint64_t target)
{
    if (likely(is_canonical(target)))
        return;
    cpu->op = op;
    cpu_fault_code(cpu, VEC_GP, 0);
}

HANDLER(jmp)
{
    return branch_direct(cpu, op);
}

HANDLER(jmp_r)
{
    uint64_t target = reg_get(cpu, op->rm, op->size);
    check_target(cpu, op, target);
    return branch_to(cpu, op, target);
}

HANDLER(jmp_m)
{
    return branch_to(cpu, op, mem_load_value(cpu, op, ea(cpu, op), 1u << op->size));
}

HANDLER(jmp_m_64)
{
    uint64_t target = load64(cpu, op, ea(cpu, op));
    check_target(cpu, op, target);
    return jump_linear(cpu, op, target);
}

HANDLER(call_64)
{
    store64(cpu, op, cpu->regs[CPU_RSP] - 8, op_next_linear(cpu, op));
    cpu->regs[CPU_RSP] -= 8;
    return branch_direct(cpu, op);
}

/* CALL in 16- and 32-bit code. */
static const struct op *call_legacy(struct cpu *cpu, const struct op *op, uint64_t target)
{
    uint64_t rsp = cpu->regs[CPU_RSP];
    branch_check(cpu, op, branch_mask(op, target));
    stack_push(cpu, op, &rsp, op_next_rip(cpu, op), 1u << op->size);
    cpu->regs[CPU_RSP] = rsp;
    return branch_legacy(cpu, op, target);
}

HANDLER(call_any)
{
    return call_legacy(cpu, op, op_next_rip(cpu, op) + op->imm);
}

HANDLER(call_r_64)
{
    uint64_t target = REG64(cpu, op->rm);
    check_target(cpu, op, target);
    store64(cpu, op, cpu->regs[CPU_RSP] - 8, op_next_linear(cpu, op));
    cpu->regs[CPU_RSP] -= 8;
    return jump_linear(cpu, op, target);
}

HANDLER(call_m_64)
{
    uint64_t target = load64(cpu, op, ea(cpu, op));
    check_target(cpu, op, target);
    store64(cpu, op, cpu->regs[CPU_RSP] - 8, op_next_linear(cpu, op));
    cpu->regs[CPU_RSP] -= 8;
    return jump_linear(cpu, op, target);
}

HANDLER(call_r_any)
{
    return call_legacy(cpu, op, reg_get(cpu, op->rm, op->size));
}

HANDLER(call_m_any)
{
    return call_legacy(cpu, op, mem_load_value(cpu, op, ea(cpu, op), 1u << op->size));
}

HANDLER(ret_64)
{
    uint64_t target = load64(cpu, op, cpu->regs[CPU_RSP]);
    check_target(cpu, op, target);
    cpu->regs[CPU_RSP] += 8 + op->imm;
    return jump_linear(cpu, op, target);
}

HANDLER(ret_any)
{
    uint64_t rsp = cpu->regs[CPU_RSP], target = stack_pop(cpu, op, &rsp, 1u << op->size);
    branch_check(cpu, op, branch_mask(op, target));
    cpu->regs[CPU_RSP] = stack_merge(cpu, rsp + op->imm);
    return branch_legacy(cpu, op, target);
}

/* ------------------------------------------------------------------ table */

#define FAST_64(any, fast)                                                                         \
    {                                                                                              \
        NULL, any, any, fast                                                                       \
    }
#define JCC_ENTRY(cc, code_)                                                                       \
    {.name = "j" #cc, .code = 0x70 + code_, .form = FORM_JB, .size = SIZE_F64, .reg = ALL(j##cc)}, \
            {.name = "j" #cc,                                                                      \
                    .map = MAP_0F,                                                                 \
                    .code = 0x80 + code_,                                                          \
                    .form = FORM_JZ,                                                               \
                    .size = SIZE_F64,                                                              \
                    .reg = ALL(j##cc)},

/* clang-format off */
static const struct opcode table[] = {
    CONDITIONS(JCC_ENTRY)
    {.name = "loopne", .code = 0xe0, .form = FORM_JB, .size = SIZE_F64, .reg = ALL(loopne)},
    {.name = "loope", .code = 0xe1, .form = FORM_JB, .size = SIZE_F64, .reg = ALL(loope)},
    {.name = "loop", .code = 0xe2, .form = FORM_JB, .size = SIZE_F64, .reg = ALL(loop)},
    {.name = "jcxz", .code = 0xe3, .form = FORM_JB, .size = SIZE_F64, .reg = ALL(jcxz)},
    {.name = "call", .code = 0xe8, .form = FORM_JZ, .size = SIZE_F64, .attr = AT_END | AT_STACK, .reg = FAST_64(call_any, call_64)},
    {.name = "jmp", .code = 0xe9, .form = FORM_JZ, .size = SIZE_F64, .attr = AT_END, .reg = ALL(jmp)},
    {.name = "jmp", .code = 0xeb, .form = FORM_JB, .size = SIZE_F64, .attr = AT_END, .reg = ALL(jmp)},
    {.name = "call", .code = 0xff, .ext = EXT(2), .form = FORM_E, .size = SIZE_F64, .attr = AT_END | AT_STACK, .reg = FAST_64(call_r_any, call_r_64), .mem = FAST_64(call_m_any, call_m_64)},
    {.name = "jmp", .code = 0xff, .ext = EXT(4), .form = FORM_E, .size = SIZE_F64, .attr = AT_END, .reg = ALL(jmp_r), .mem = FAST_64(jmp_m, jmp_m_64)},
    {.name = "ret", .code = 0xc2, .form = FORM_IW, .size = SIZE_F64, .attr = AT_END | AT_STACK, .reg = FAST_64(ret_any, ret_64)},
    {.name = "ret", .code = 0xc3, .size = SIZE_F64, .attr = AT_END | AT_STACK, .reg = FAST_64(ret_any, ret_64)},
};
/* clang-format on */

const struct opcode_list branch_opcodes = {table, sizeof(table) / sizeof(table[0])};
