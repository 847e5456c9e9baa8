#include "cpu/fault.h"
#include "cpu/flags.h"
#include "cpu/gate.h"
#include "cpu/handler.h"
#include "cpu/interrupt.h"
#include "cpu/mmu.h"
#include "cpu/segment.h"

/* ------------------------------------------------------------------ far JMP and CALL */

/* The code segment that a far jump or call at the same privilege goes to. What is none, nor a call
 * gate, raises #GP: a task gate and a task state too, as they do in long mode. There are no task
 * switches by hardware. */
static struct cpu_segment code_target(
        struct cpu *cpu, uint16_t selector, struct descriptor *descriptor)
{
    uint32_t code = selector & 0xfffcu;
    const struct cpu_segment *segment = &descriptor->segment;
    if (!segment->s || !(segment->type & TYPE_CODE))
        cpu_fault_code(cpu, VEC_GP, code);
    bool conforming = segment->type & TYPE_CONFORMING;
    bool allowed = conforming ? segment->dpl <= cpu->cpl
                              : (selector & 3u) <= cpu->cpl && segment->dpl == cpu->cpl;
    if (!allowed || (cpu_long_mode(cpu) && segment->l && segment->db))
        cpu_fault_code(cpu, VEC_GP, code);
    if (!segment->present)
        cpu_fault_code(cpu, VEC_NP, code);
    descriptor_mark(cpu, descriptor, segment->type | TYPE_ACCESSED);
    return descriptor->segment;
}

static void check_offset(struct cpu *cpu, const struct cpu_segment *code, uint64_t offset)
{
    bool is_64 = cpu_long_mode(cpu) && code->l;
    if (is_64 ? !is_canonical(offset) : offset > code->limit)
        cpu_fault_code(cpu, VEC_GP, 0);
}

static const struct op *far_jump(
        struct cpu *cpu, const struct op *op, uint16_t selector, uint64_t offset, bool call)
{
    uint64_t rsp = cpu->regs[CPU_RSP];
    cpu->op = op;
    struct cpu_segment code = cpu->segment[CPU_CS];
    if (cpu_protected(cpu)) {
        struct descriptor descriptor;
        if (!(selector & 0xfffc) || !descriptor_read(cpu, selector, &descriptor))
            cpu_fault_code(cpu, VEC_GP, selector & 0xfffcu);
        if (gate_is_call(cpu, &descriptor.segment))
            return gate_enter(cpu, op, selector, &descriptor, call);
        code = code_target(cpu, selector, &descriptor);
    }
    check_offset(cpu, &code, offset);
    if (call) {
        stack_push(cpu, op, &rsp, cpu->segment[CPU_CS].selector, 1u << op->size);
        stack_push(cpu, op, &rsp, op_next_rip(cpu, op), 1u << op->size);
        cpu->regs[CPU_RSP] = rsp;
    }
    if (cpu_protected(cpu)) {
        become_code(cpu, &code, cpu->cpl);
    } else {
        segment_load_real(cpu, CPU_CS, selector);
        segment_changed(cpu);
    }
    return leave_to(cpu, op, offset);
}

static const struct op *far_immediate(struct cpu *cpu, const struct op *op, bool call)
{
    return far_jump(cpu, op, (uint16_t)(op->imm >> 32), (uint32_t)op->imm, call);
}

/* Selector and offset from memory, the offset first. */
static const struct op *far_memory(struct cpu *cpu, const struct op *op, bool call)
{
    unsigned bytes = 1u << op->size;
    uint64_t linear = ea_checked(cpu, op, bytes + 2, false);
    uint64_t offset = mem_load_value(cpu, op, linear, bytes);
    return far_jump(cpu, op, load16(cpu, op, linear + bytes), offset, call);
}

HANDLER(jmp_far)
{
    return far_immediate(cpu, op, false);
}

HANDLER(jmp_far_m)
{
    return far_memory(cpu, op, false);
}

HANDLER(call_far)
{
    return far_immediate(cpu, op, true);
}

HANDLER(call_far_m)
{
    return far_memory(cpu, op, true);
}

/* ------------------------------------------------------------------ far RET, IRET */

/* The code segment to return to, with the rules for an equal or outer privilege. */
static struct cpu_segment return_code(struct cpu *cpu, uint16_t selector)
{
    struct descriptor descriptor;
    unsigned level = selector & 3u;
    uint32_t code = selector & 0xfffcu;
    if (!code || level < cpu->cpl || !descriptor_read(cpu, selector, &descriptor))
        cpu_fault_code(cpu, VEC_GP, code);
    const struct cpu_segment *segment = &descriptor.segment;
    bool conforming = segment->type & TYPE_CONFORMING;
    bool both = cpu_long_mode(cpu) && segment->l && segment->db;
    if (!segment->s || !(segment->type & TYPE_CODE) || both ||
            (conforming ? segment->dpl > level : segment->dpl != level))
        cpu_fault_code(cpu, VEC_GP, code);
    if (!segment->present)
        cpu_fault_code(cpu, VEC_NP, code);
    descriptor_mark(cpu, &descriptor, segment->type | TYPE_ACCESSED);
    return descriptor.segment;
}

/* The stack segment to return to; null is allowed into 64-bit code below level 3. */
static struct cpu_segment return_stack(
        struct cpu *cpu, uint16_t selector, unsigned level, bool to_64)
{
    if (!(selector & 0xfffc) && to_64 && level != 3)
        return (struct cpu_segment){.selector = selector, .unusable = 1, .dpl = (uint8_t)level};
    return segment_read_stack(cpu, selector, level, VEC_GP, 0);
}

/* On the way to an outer level, segments that it may not use become null. */
static void drop_segments(struct cpu *cpu, unsigned level)
{
    static const uint8_t data[] = {CPU_ES, CPU_DS, CPU_FS, CPU_GS};
    for (unsigned i = 0; i < sizeof(data); i++) {
        struct cpu_segment *segment = &cpu->segment[data[i]];
        bool conforming = (segment->type & TYPE_CODE) && (segment->type & TYPE_CONFORMING);
        if (!segment->unusable && segment->dpl < level && !conforming) {
            uint64_t base = cpu_long_mode(cpu) ? segment->base : 0;
            *segment = (struct cpu_segment){.base = base, .unusable = 1};
        }
    }
}

struct far_return {
    uint64_t rip, rsp;
    struct cpu_segment code, stack;
    unsigned level;
    bool outer;
};

static void become(struct cpu *cpu, const struct far_return *to)
{
    if (to->outer) {
        cpu->segment[CPU_SS] = to->stack;
        cpu->cpl = (uint8_t)to->level;
        drop_segments(cpu, to->level);
    }
    become_code(cpu, &to->code, to->level);
    cpu->regs[CPU_RSP] = to->outer && !(cpu_long_mode(cpu) && to->code.l) && !to->stack.db
                                 ? (cpu->regs[CPU_RSP] & ~0xffffull) | (to->rsp & 0xffff)
                                 : to->rsp;
}

static const struct op *ret_far_real(struct cpu *cpu, const struct op *op)
{
    uint64_t rsp = cpu->regs[CPU_RSP];
    uint64_t offset = stack_pop(cpu, op, &rsp, 1u << op->size);
    uint16_t selector = (uint16_t)stack_pop(cpu, op, &rsp, 1u << op->size);
    if (offset > cpu->segment[CPU_CS].limit)
        cpu_fault_code(cpu, VEC_GP, 0);
    cpu->regs[CPU_RSP] = stack_merge(cpu, rsp + op->imm);
    segment_load_real(cpu, CPU_CS, selector);
    segment_changed(cpu);
    return leave_to(cpu, op, offset);
}

HANDLER(ret_far)
{
    uint64_t rsp = cpu->regs[CPU_RSP];
    unsigned bytes = 1u << op->size;
    cpu->op = op;
    if (!cpu_protected(cpu))
        return ret_far_real(cpu, op);
    struct far_return to = {.rip = stack_pop(cpu, op, &rsp, bytes)};
    uint16_t selector = (uint16_t)stack_pop(cpu, op, &rsp, bytes);
    to.level = selector & 3u;
    to.outer = to.level > cpu->cpl;
    to.code = return_code(cpu, selector);
    to.rsp = stack_merge(cpu, rsp + op->imm);
    if (to.outer) {
        uint64_t at = to.rsp;
        to.rsp = stack_pop(cpu, op, &at, bytes) + op->imm;
        to.stack = return_stack(cpu, (uint16_t)stack_pop(cpu, op, &at, bytes), to.level,
                cpu_long_mode(cpu) && to.code.l);
    }
    check_offset(cpu, &to.code, to.rip); /* after the stack, as the silicon has it */
    become(cpu, &to);
    return leave_to(cpu, op, to.rip);
}

static uint32_t iret_mask(const struct cpu *cpu, const struct op *op)
{
    uint32_t mask = FLAGS_ARITH | FLAG_TF | FLAG_DF | FLAG_NT | FLAG_RF | FLAG_AC | FLAG_ID;
    if (!cpu_protected(cpu) || cpu->cpl == 0)
        mask |= FLAG_IF | FLAG_IOPL;
    else if (cpu->cpl <= (cpu->eflags & FLAG_IOPL) >> 12)
        mask |= FLAG_IF;
    return op->size == 1 ? mask & 0xffff : mask;
}

static const struct op *iret_real(struct cpu *cpu, const struct op *op)
{
    uint64_t rsp = cpu->regs[CPU_RSP];
    uint64_t offset = stack_pop(cpu, op, &rsp, 1u << op->size);
    uint16_t selector = (uint16_t)stack_pop(cpu, op, &rsp, 1u << op->size);
    uint64_t flags = stack_pop(cpu, op, &rsp, 1u << op->size);
    if (offset > cpu->segment[CPU_CS].limit)
        cpu_fault_code(cpu, VEC_GP, 0);
    cpu->regs[CPU_RSP] = rsp;
    segment_load_real(cpu, CPU_CS, selector);
    flags_set(cpu, (uint32_t)flags, iret_mask(cpu, op));
    segment_changed(cpu);
    cpu->nmi_masked = false;
    return leave_to(cpu, op, offset);
}

HANDLER(iret)
{
    uint64_t rsp = cpu->regs[CPU_RSP];
    unsigned bytes = 1u << op->size;
    cpu->op = op;
    if (!cpu_protected(cpu))
        return iret_real(cpu, op);
    if (cpu->eflags & FLAG_NT) /* a task switch back; in long mode #GP */
        cpu_fault_code(cpu, VEC_GP, 0);
    struct far_return to = {.rip = stack_pop(cpu, op, &rsp, bytes)};
    uint16_t selector = (uint16_t)stack_pop(cpu, op, &rsp, bytes);
    uint32_t flags = (uint32_t)stack_pop(cpu, op, &rsp, bytes);
    bool to_8086 = !cpu_long_mode(cpu) && cpu->cpl == 0 && (flags & FLAG_VM);
    if (to_8086) /* virtual-8086 mode, which CPUID does not promise anything about: not there */
        cpu_fault_code(cpu, VEC_GP, 0);
    to.level = selector & 3u;
    to.code = return_code(cpu, selector);
    to.outer = to.level > cpu->cpl || cpu->mode == MODE_64;
    to.rsp = rsp;
    if (to.outer) {
        to.rsp = stack_pop(cpu, op, &rsp, bytes);
        to.stack = return_stack(cpu, (uint16_t)stack_pop(cpu, op, &rsp, bytes), to.level,
                cpu_long_mode(cpu) && to.code.l);
    }
    check_offset(cpu, &to.code, to.rip);
    flags_set(cpu, flags, iret_mask(cpu, op));
    become(cpu, &to);
    cpu->nmi_masked = false;
    return leave_to(cpu, op, to.rip);
}

/* ------------------------------------------------------------------ INT */

static const struct op *software_interrupt(
        struct cpu *cpu, const struct op *op, unsigned vector, enum interrupt_kind kind)
{
    cpu->op = op;
    if (cpu->config.stop_at_fault) {
        cpu->rip = op_next_rip(cpu, op);
        cpu->left -= op->count;
        cpu->op = NULL;
        cpu_fault(cpu, (enum cpu_vector)vector);
    }
    cpu->rip = op_next_rip(cpu, op);
    interrupt_deliver(cpu, &(struct interrupt){.vector = (uint8_t)vector, .kind = kind});
    cpu->step_trap = false; /* TF is cleared before it could trap */
    return leave_to(cpu, op, cpu->rip);
}

HANDLER(int_n)
{
    return software_interrupt(cpu, op, (uint8_t)op->imm, INTERRUPT_SOFTWARE);
}

HANDLER(int3)
{
    return software_interrupt(cpu, op, VEC_BP, INTERRUPT_SOFTWARE);
}

HANDLER(int1)
{
    return software_interrupt(cpu, op, VEC_DB, INTERRUPT_EXTERNAL);
}

HANDLER(into)
{
    if (cpu->raw & RAW_OF)
        return software_interrupt(cpu, op, VEC_OF, INTERRUPT_SOFTWARE);
    return op + 1;
}

/* ------------------------------------------------------------------ SYSCALL, SYSENTER */

static struct cpu_segment flat_code(uint16_t selector, unsigned dpl, bool is_64)
{
    return (struct cpu_segment){.limit = 0xffffffff,
            .selector = selector,
            .type = TYPE_CODE | TYPE_READABLE | TYPE_ACCESSED,
            .present = 1,
            .dpl = (uint8_t)dpl,
            .db = !is_64,
            .s = 1,
            .l = is_64,
            .g = 1};
}

static struct cpu_segment flat_stack(uint16_t selector, unsigned dpl)
{
    struct cpu_segment segment = flat_code(selector, dpl, false);
    segment.type = TYPE_WRITABLE | TYPE_ACCESSED;
    return segment;
}

static void enter_flat(struct cpu *cpu, uint16_t selector, unsigned level, bool is_64)
{
    struct cpu_segment code = flat_code((uint16_t)((selector & ~3u) | level), level, is_64);
    cpu->segment[CPU_SS] = flat_stack((uint16_t)(((selector & ~3u) + 8) | level), level);
    become_code(cpu, &code, level);
}

HANDLER(syscall)
{
    cpu->op = op;
    if (!(cpu->efer & EFER_SCE) || !cpu_protected(cpu))
        cpu_fault(cpu, VEC_UD);
    uint16_t selector = (uint16_t)(cpu->star >> 32) & 0xfffc;
    cpu->regs[CPU_RCX] = op_next_rip(cpu, op);
    if (!cpu_long_mode(cpu)) {
        cpu->eflags &= ~(FLAG_IF | FLAG_RF | FLAG_VM);
        enter_flat(cpu, selector, 0, false);
        return leave_to(cpu, op, (uint32_t)cpu->star);
    }
    uint64_t target = cpu->mode == MODE_64 ? cpu->lstar : cpu->cstar;
    cpu->regs[CPU_R11] = flags_get(cpu) & ~FLAG_RF;
    flags_set(cpu, 0, (uint32_t)cpu->sfmask | FLAG_RF);
    enter_flat(cpu, selector, 0, true);
    cpu->step_trap = cpu->eflags & FLAG_TF; /* what SFMASK left of it */
    return leave_to(cpu, op, target);
}

HANDLER(sysret)
{
    cpu->op = op;
    if (!(cpu->efer & EFER_SCE) || !cpu_protected(cpu))
        cpu_fault(cpu, VEC_UD);
    cpu_need_ring0(cpu);
    uint16_t base = (uint16_t)(cpu->star >> 48);
    bool to_64 = op->size == 3;
    uint64_t target = to_64 ? cpu->regs[CPU_RCX] : (uint32_t)cpu->regs[CPU_RCX];
    if (to_64 && !is_canonical(target))
        cpu_fault_code(cpu, VEC_GP, 0);
    if (cpu_long_mode(cpu))
        flags_set(cpu, (uint32_t)cpu->regs[CPU_R11], 0x3c7fd7);
    else
        cpu->eflags |= FLAG_IF;
    struct cpu_segment code = flat_code((uint16_t)((base + (to_64 ? 16 : 0)) | 3), 3, to_64);
    cpu->segment[CPU_SS] = flat_stack((uint16_t)((base + 8) | 3), 3);
    become_code(cpu, &code, 3);
    cpu->step_trap = cpu->eflags & FLAG_TF; /* as if SYSCALL had just ended */
    return leave_to(cpu, op, target);
}

HANDLER(sysenter)
{
    cpu->op = op;
    if (!cpu_protected(cpu) || !(cpu->sysenter_cs & 0xfffc))
        cpu_fault_code(cpu, VEC_GP, 0);
    bool is_64 = cpu_long_mode(cpu);
    cpu->eflags &= ~(FLAG_IF | FLAG_VM | FLAG_RF);
    cpu->regs[CPU_RSP] = is_64 ? cpu->sysenter_esp : (uint32_t)cpu->sysenter_esp;
    enter_flat(cpu, (uint16_t)cpu->sysenter_cs, 0, is_64);
    return leave_to(cpu, op, is_64 ? cpu->sysenter_eip : (uint32_t)cpu->sysenter_eip);
}

HANDLER(sysexit)
{
    cpu->op = op;
    if (!cpu_protected(cpu) || !(cpu->sysenter_cs & 0xfffc) || cpu->cpl)
        cpu_fault_code(cpu, VEC_GP, 0);
    bool to_64 = op->size == 3;
    uint64_t target = cpu->regs[CPU_RDX], rsp = cpu->regs[CPU_RCX];
    if (to_64 && (!is_canonical(target) || !is_canonical(rsp)))
        cpu_fault_code(cpu, VEC_GP, 0);
    cpu->regs[CPU_RSP] = to_64 ? rsp : (uint32_t)rsp;
    enter_flat(cpu, (uint16_t)((cpu->sysenter_cs & 0xfffc) + (to_64 ? 32 : 16)), 3, to_64);
    return leave_to(cpu, op, to_64 ? target : (uint32_t)target);
}

/* clang-format off */
static const struct opcode table[] = {
    {.name = "callf", .code = 0x9a, .form = FORM_FAR, .size = SIZE_DIR, .attr = AT_STACK | AT_NO64 | AT_END, .reg = ALL(call_far)},
    {.name = "jmpf", .code = 0xea, .form = FORM_FAR, .size = SIZE_DIR, .attr = AT_NO64 | AT_END, .reg = ALL(jmp_far)},
    {.name = "callf", .code = 0xff, .ext = EXT(3), .form = FORM_E, .size = SIZE_V, .attr = AT_MEM | AT_END, .mem = ALL(call_far_m)},
    {.name = "jmpf", .code = 0xff, .ext = EXT(5), .form = FORM_E, .size = SIZE_V, .attr = AT_MEM | AT_END, .mem = ALL(jmp_far_m)},
    {.name = "retf", .code = 0xca, .form = FORM_IW, .size = SIZE_V, .attr = AT_STACK | AT_END, .reg = ALL(ret_far)},
    {.name = "retf", .code = 0xcb, .size = SIZE_V, .attr = AT_STACK | AT_END, .reg = ALL(ret_far)},
    {.name = "iret", .code = 0xcf, .size = SIZE_V, .attr = AT_STACK | AT_END, .reg = ALL(iret)},
    {.name = "int3", .code = 0xcc, .attr = AT_END, .reg = ALL(int3)},
    {.name = "int", .code = 0xcd, .form = FORM_IB, .attr = AT_END, .reg = ALL(int_n)},
    {.name = "into", .code = 0xce, .attr = AT_NO64 | AT_END, .reg = ALL(into)},
    {.name = "int1", .code = 0xf1, .attr = AT_END, .reg = ALL(int1)},
    {.name = "syscall", .map = MAP_0F, .code = 0x05, .attr = AT_END, .reg = ALL(syscall)},
    {.name = "sysret", .map = MAP_0F, .code = 0x07, .size = SIZE_Y, .attr = AT_END, .reg = ALL(sysret)},
    {.name = "sysenter", .map = MAP_0F, .code = 0x34, .attr = AT_END, .reg = ALL(sysenter)},
    {.name = "sysexit", .map = MAP_0F, .code = 0x35, .size = SIZE_Y, .attr = AT_END, .reg = ALL(sysexit)},
};
/* clang-format on */

const struct opcode_list far_opcodes = {table, sizeof(table) / sizeof(table[0])};
