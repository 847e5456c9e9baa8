#include "cpu/interrupt.h"

#include "cpu/fault.h"
#include "cpu/flags.h"
#include "cpu/frame.h"
#include "cpu/mem.h"
#include "cpu/mmu.h"
#include "cpu/segment.h"

void become_code(struct cpu *cpu, const struct cpu_segment *code, unsigned level)
{
    cpu->segment[CPU_CS] = *code;
    cpu->segment[CPU_CS].selector = (uint16_t)((code->selector & ~3u) | level);
    cpu->cpl = (uint8_t)level;
    segment_changed(cpu);
}

/* ------------------------------------------------------------------ real mode */

static void deliver_real(struct cpu *cpu, const struct interrupt *interrupt)
{
    uint16_t target[2];
    if (interrupt->vector * 4u + 3 > cpu->idt.limit)
        cpu_fault(cpu, VEC_GP);
    sys_load(cpu, cpu->idt.base + interrupt->vector * 4u, target, 4);
    struct frame frame = frame_here(cpu, 2, 0);
    frame.mask = 0xffff;
    frame.user_rights = false;
    frame_push(cpu, &frame, flags_get(cpu));
    frame_push(cpu, &frame, cpu->segment[CPU_CS].selector);
    frame_push(cpu, &frame, cpu->rip);
    cpu->regs[CPU_RSP] = frame.rsp;
    cpu->eflags &= ~(FLAG_IF | FLAG_TF | FLAG_AC | FLAG_RF);
    segment_load_real(cpu, CPU_CS, target[1]);
    cpu->rip = target[0];
    segment_changed(cpu);
}

/* ------------------------------------------------------------------ gates */

struct gate {
    uint64_t offset;
    uint16_t selector;
    uint8_t type, dpl, ist;
    bool present;
};

/* The lowest bit of an error code: the fault came in delivering something that no INT asked for. */
static uint32_t ext_bit(const struct interrupt *interrupt)
{
    return interrupt->kind != INTERRUPT_SOFTWARE;
}

static uint32_t gate_code(const struct interrupt *interrupt)
{
    return interrupt->vector * 8u + 2 + ext_bit(interrupt);
}

static struct gate gate_read(struct cpu *cpu, const struct interrupt *interrupt)
{
    unsigned bytes = cpu_long_mode(cpu) ? 16 : 8;
    uint64_t word[2] = {0, 0};
    if (interrupt->vector * bytes + bytes - 1 > cpu->idt.limit)
        cpu_fault_code(cpu, VEC_GP, gate_code(interrupt));
    sys_load(cpu, cpu->idt.base + interrupt->vector * bytes, word, bytes);
    return (struct gate){
            .offset = (word[0] & 0xffff) | ((word[0] >> 32) & 0xffff0000) | word[1] << 32,
            .selector = (uint16_t)(word[0] >> 16),
            .type = (word[0] >> 40) & 31,
            .dpl = (word[0] >> 45) & 3,
            .present = (word[0] >> 47) & 1,
            .ist = bytes == 16 ? (word[0] >> 32) & 7 : 0,
    };
}

static void gate_check(struct cpu *cpu, const struct interrupt *interrupt, const struct gate *gate)
{
    bool is_32 = gate->type == TYPE_INT32 || gate->type == TYPE_TRAP32;
    bool is_16 = gate->type == TYPE_INT16 || gate->type == TYPE_TRAP16;
    if (!is_32 && (!is_16 || cpu_long_mode(cpu)))
        cpu_fault_code(cpu, VEC_GP, gate_code(interrupt));
    if (interrupt->kind == INTERRUPT_SOFTWARE && gate->dpl < cpu->cpl)
        cpu_fault_code(cpu, VEC_GP, gate_code(interrupt));
    if (!gate->present)
        cpu_fault_code(cpu, VEC_NP, gate_code(interrupt));
}

/* The handler's code segment and the privilege level that it will run at. */
static struct cpu_segment gate_code_segment(struct cpu *cpu, const struct interrupt *interrupt,
        const struct gate *gate, unsigned *ret_level)
{
    struct descriptor descriptor;
    uint32_t ext = ext_bit(interrupt), code = gate->selector & 0xfffcu;
    if (!code)
        cpu_fault_code(cpu, VEC_GP, ext);
    if (!descriptor_read(cpu, gate->selector, &descriptor))
        cpu_fault_code(cpu, VEC_GP, code | ext);
    const struct cpu_segment *segment = &descriptor.segment;
    bool wrong_size = cpu_long_mode(cpu) && (!segment->l || segment->db);
    if (!segment->s || !(segment->type & TYPE_CODE) || segment->dpl > cpu->cpl || wrong_size)
        cpu_fault_code(cpu, VEC_GP, code | ext);
    if (!segment->present)
        cpu_fault_code(cpu, VEC_NP, code | ext);
    *ret_level = segment->type & TYPE_CONFORMING ? cpu->cpl : segment->dpl;
    descriptor_mark(cpu, &descriptor, segment->type | TYPE_ACCESSED);
    return descriptor.segment;
}

static void enter_handler(struct cpu *cpu, const struct gate *gate, const struct cpu_segment *code,
        unsigned level, const struct frame *frame)
{
    bool is_interrupt = gate->type == TYPE_INT32 || gate->type == TYPE_INT16;
    cpu->regs[CPU_RSP] = frame->rsp;
    cpu->segment[CPU_SS] = frame->ss;
    cpu->eflags &= ~(FLAG_TF | FLAG_NT | FLAG_RF | FLAG_VM | (is_interrupt ? FLAG_IF : 0));
    cpu->rip = gate->type & 8 ? gate->offset : gate->offset & 0xffff;
    if (!cpu_long_mode(cpu))
        cpu->rip = (uint32_t)cpu->rip;
    become_code(cpu, code, level);
}

static uint64_t flags_image(const struct cpu *cpu, const struct interrupt *interrupt)
{
    return flags_get(cpu) | (interrupt->fault ? FLAG_RF : 0);
}

/* ------------------------------------------------------------------ long mode */

static void deliver_long(struct cpu *cpu, const struct interrupt *interrupt)
{
    unsigned level;
    struct gate gate = gate_read(cpu, interrupt);
    gate_check(cpu, interrupt, &gate);
    struct cpu_segment code = gate_code_segment(cpu, interrupt, &gate, &level);
    struct frame frame = frame_long(cpu, level, gate.ist, ext_bit(interrupt));
    frame.rsp &= ~15ull;
    frame_push(cpu, &frame, cpu->segment[CPU_SS].selector);
    frame_push(cpu, &frame, cpu->regs[CPU_RSP]);
    frame_push(cpu, &frame, flags_image(cpu, interrupt));
    frame_push(cpu, &frame, cpu->segment[CPU_CS].selector);
    frame_push(cpu, &frame, cpu->rip);
    if (interrupt->has_error)
        frame_push(cpu, &frame, interrupt->error);
    enter_handler(cpu, &gate, &code, level, &frame);
}

/* ------------------------------------------------------------------ 16- and 32-bit */

static void deliver_protected(struct cpu *cpu, const struct interrupt *interrupt)
{
    unsigned level;
    struct gate gate = gate_read(cpu, interrupt);
    gate_check(cpu, interrupt, &gate);
    struct cpu_segment code = gate_code_segment(cpu, interrupt, &gate, &level);
    unsigned bytes = gate.type & 8 ? 4 : 2;
    bool inward = level < cpu->cpl;
    struct frame frame = inward ? frame_inner(cpu, level, bytes, ext_bit(interrupt))
                                : frame_here(cpu, bytes, ext_bit(interrupt));
    if (inward) {
        frame_push(cpu, &frame, cpu->segment[CPU_SS].selector);
        frame_push(cpu, &frame, cpu->regs[CPU_RSP]);
    }
    frame_push(cpu, &frame, flags_image(cpu, interrupt));
    frame_push(cpu, &frame, cpu->segment[CPU_CS].selector);
    frame_push(cpu, &frame, cpu->rip);
    if (interrupt->has_error)
        frame_push(cpu, &frame, interrupt->error);
    enter_handler(cpu, &gate, &code, level, &frame);
}

void interrupt_deliver(struct cpu *cpu, const struct interrupt *interrupt)
{
    if (!cpu_protected(cpu))
        deliver_real(cpu, interrupt);
    else if (cpu_long_mode(cpu))
        deliver_long(cpu, interrupt);
    else
        deliver_protected(cpu, interrupt);
}
