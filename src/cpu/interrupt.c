#include "cpu/interrupt.h"

#include "cpu/fault.h"
#include "cpu/flags.h"
#include "cpu/mem.h"
#include "cpu/mmu.h"
#include "cpu/segment.h"

/* The stack being built: nothing of the CPU changes until all of it is written. */
struct frame {
    uint64_t rsp, base, mask;
    struct cpu_segment ss;
    bool user_rights; /* pushed with the old privilege */
    unsigned bytes;
};

static void frame_push(struct cpu *cpu, struct frame *frame, uint64_t value)
{
    frame->rsp = (frame->rsp & ~frame->mask) | ((frame->rsp - frame->bytes) & frame->mask);
    uint64_t linear = frame->base + (frame->rsp & frame->mask);
    if (!cpu_long_mode(cpu))
        linear = (uint32_t)linear;
    else if (!is_canonical(linear))
        cpu_fault_code(cpu, VEC_SS, 0);
    if (!frame->user_rights) {
        sys_store(cpu, linear, &value, frame->bytes);
        return;
    }
    struct op op = cpu->op ? *cpu->op : (struct op){0};
    op.seg = CPU_SS;
    mem_store(cpu, &op, linear, &value, frame->bytes);
}

/* ------------------------------------------------------------------ task state */

/* The stack pointer for a privilege level (or IST entry, 1-7) out of the long mode task state. */
static uint64_t task_stack_long(struct cpu *cpu, unsigned level, unsigned ist, uint32_t ext)
{
    uint64_t rsp;
    unsigned offset = ist ? 0x1c + ist * 8 : 4 + level * 8;
    if (offset + 7 > cpu->tr.limit)
        cpu_fault_code(cpu, VEC_TS, (cpu->tr.selector & 0xfffcu) | ext);
    sys_load(cpu, cpu->tr.base + offset, &rsp, 8);
    return rsp;
}

/* SS and ESP for a privilege level out of a 16- or 32-bit task state. */
static void task_stack(
        struct cpu *cpu, unsigned level, uint32_t ext, uint16_t *ret_ss, uint32_t *ret_esp)
{
    bool wide = cpu->tr.type & 8;
    unsigned offset = wide ? 4 + level * 8 : 2 + level * 4;
    *ret_esp = 0;
    if (offset + (wide ? 5 : 3) > cpu->tr.limit)
        cpu_fault_code(cpu, VEC_TS, (cpu->tr.selector & 0xfffcu) | ext);
    sys_load(cpu, cpu->tr.base + offset, ret_esp, wide ? 4 : 2);
    sys_load(cpu, cpu->tr.base + offset + (wide ? 4 : 2), ret_ss, 2);
}

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
    struct frame frame = {.rsp = cpu->regs[CPU_RSP],
            .base = cpu->segment[CPU_SS].base,
            .mask = 0xffff,
            .bytes = 2};
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
    struct frame frame = {
            .rsp = cpu->regs[CPU_RSP], .mask = ~0ull, .ss = cpu->segment[CPU_SS], .bytes = 8};
    if (gate.ist || level < cpu->cpl)
        frame.rsp = task_stack_long(cpu, level, gate.ist, ext_bit(interrupt));
    if (level < cpu->cpl)
        frame.ss = (struct cpu_segment){
                .selector = (uint16_t)level, .unusable = 1, .dpl = (uint8_t)level};
    frame.user_rights = level == 3;
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

/* The inner stack's segment, checked as a load of SS at that privilege level. */
static struct cpu_segment inner_stack(
        struct cpu *cpu, uint16_t selector, unsigned level, uint32_t ext)
{
    struct descriptor descriptor;
    uint32_t code = (selector & 0xfffcu) | ext;
    if (!(selector & 0xfffc) || !descriptor_read(cpu, selector, &descriptor))
        cpu_fault_code(cpu, VEC_TS, code);
    const struct cpu_segment *ss = &descriptor.segment;
    bool writable = ss->s && (ss->type & (TYPE_CODE | TYPE_WRITABLE)) == TYPE_WRITABLE;
    if ((selector & 3u) != level || ss->dpl != level || !writable)
        cpu_fault_code(cpu, VEC_TS, code);
    if (!ss->present)
        cpu_fault_code(cpu, VEC_SS, code);
    descriptor_mark(cpu, &descriptor, ss->type | TYPE_ACCESSED);
    return descriptor.segment;
}

static struct frame frame_of(const struct cpu_segment *ss, uint64_t rsp, unsigned bytes)
{
    return (struct frame){.rsp = rsp,
            .base = ss->base,
            .mask = ss->db ? 0xffffffffull : 0xffffull,
            .ss = *ss,
            .bytes = bytes};
}

static void deliver_protected(struct cpu *cpu, const struct interrupt *interrupt)
{
    unsigned level;
    struct gate gate = gate_read(cpu, interrupt);
    gate_check(cpu, interrupt, &gate);
    struct cpu_segment code = gate_code_segment(cpu, interrupt, &gate, &level);
    unsigned bytes = gate.type & 8 ? 4 : 2;
    struct frame frame = frame_of(&cpu->segment[CPU_SS], cpu->regs[CPU_RSP], bytes);
    frame.user_rights = level == 3;
    if (level < cpu->cpl) {
        uint16_t selector;
        uint32_t esp;
        task_stack(cpu, level, ext_bit(interrupt), &selector, &esp);
        struct cpu_segment ss = inner_stack(cpu, selector, level, ext_bit(interrupt));
        frame = frame_of(&ss, esp, bytes);
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
