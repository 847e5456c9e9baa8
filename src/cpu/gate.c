#include "cpu/gate.h"

#include "cpu/frame.h"
#include "cpu/handler.h"
#include "cpu/interrupt.h"
#include "cpu/mmu.h"

struct call_gate {
    uint64_t offset;
    uint16_t selector;
    unsigned parameters; /* copied from one stack to the other */
    unsigned bytes;      /* of each, and of what is pushed */
};

/* Where it goes. */
struct target {
    struct cpu_segment code;
    unsigned level;
};

bool gate_is_call(const struct cpu *cpu, const struct cpu_segment *segment)
{
    if (segment->s)
        return false;
    return segment->type == TYPE_CALL32 || (segment->type == TYPE_CALL16 && !cpu_long_mode(cpu));
}

static struct call_gate gate_of(const struct cpu *cpu, const struct descriptor *descriptor)
{
    uint64_t low = descriptor->low, middle = (low >> 32) & 0xffff0000;
    struct call_gate gate = {.offset = low & 0xffff, .selector = (uint16_t)(low >> 16), .bytes = 2};
    if (cpu_long_mode(cpu)) {
        gate.offset |= middle | descriptor->high << 32;
        gate.bytes = 8;
        return gate;
    }
    gate.parameters = (low >> 32) & 31;
    if (descriptor->segment.type == TYPE_CALL32) {
        gate.offset |= middle;
        gate.bytes = 4;
    }
    return gate;
}

static void gate_check(struct cpu *cpu, uint16_t selector, const struct descriptor *descriptor)
{
    const struct cpu_segment *gate = &descriptor->segment;
    uint32_t code = selector & 0xfffcu;
    bool wrong_half = cpu_long_mode(cpu) && ((descriptor->high >> 40) & 31);
    if (gate->dpl < cpu->cpl || gate->dpl < (selector & 3u) || wrong_half)
        cpu_fault_code(cpu, VEC_GP, code);
    if (!gate->present)
        cpu_fault_code(cpu, VEC_NP, code);
}

static struct target gate_target(struct cpu *cpu, const struct call_gate *gate, bool call)
{
    struct descriptor descriptor;
    uint32_t code = gate->selector & 0xfffcu;
    if (!code || !descriptor_read(cpu, gate->selector, &descriptor))
        cpu_fault_code(cpu, VEC_GP, code);
    const struct cpu_segment *segment = &descriptor.segment;
    bool conforming = segment->type & TYPE_CONFORMING;
    bool inward = segment->dpl < cpu->cpl && !conforming;
    bool wrong_size = cpu_long_mode(cpu) && (!segment->l || segment->db);
    if (!segment->s || !(segment->type & TYPE_CODE) || segment->dpl > cpu->cpl || wrong_size ||
            (inward && !call))
        cpu_fault_code(cpu, VEC_GP, code);
    if (!segment->present)
        cpu_fault_code(cpu, VEC_NP, code);
    descriptor_mark(cpu, &descriptor, segment->type | TYPE_ACCESSED);
    return (struct target){descriptor.segment, inward ? segment->dpl : cpu->cpl};
}

static void check_offset(struct cpu *cpu, const struct target *target, uint64_t offset)
{
    if (cpu_long_mode(cpu) ? !is_canonical(offset) : offset > target->code.limit)
        cpu_fault_code(cpu, VEC_GP, 0);
}

/* The caller's parameters, first one last, so that they lie as they did. */
static void copy_parameters(
        struct cpu *cpu, const struct op *op, const struct call_gate *gate, struct frame *frame)
{
    for (unsigned i = gate->parameters; i-- > 0;) {
        uint64_t at = (cpu->regs[CPU_RSP] + i * gate->bytes) & stack_mask(cpu);
        uint64_t linear = seg_linear(cpu, op, CPU_SS, at, gate->bytes, false);
        frame_push(cpu, frame, mem_load_value(cpu, op, linear, gate->bytes));
    }
}

static void push_return(struct cpu *cpu, const struct op *op, const struct call_gate *gate,
        const struct target *target)
{
    bool inward = target->level < cpu->cpl;
    struct frame frame = cpu_long_mode(cpu) ? frame_long(cpu, target->level, 0, 0)
                         : inward           ? frame_inner(cpu, target->level, gate->bytes, 0)
                                            : frame_here(cpu, gate->bytes, 0);
    if (inward) {
        frame_push(cpu, &frame, cpu->segment[CPU_SS].selector);
        frame_push(cpu, &frame, cpu->regs[CPU_RSP]);
        copy_parameters(cpu, op, gate, &frame);
    }
    frame_push(cpu, &frame, cpu->segment[CPU_CS].selector);
    frame_push(cpu, &frame, op_next_rip(cpu, op));
    cpu->segment[CPU_SS] = frame.ss;
    cpu->regs[CPU_RSP] = frame.rsp;
}

const struct op *gate_enter(struct cpu *cpu, const struct op *op, uint16_t selector,
        const struct descriptor *descriptor, bool call)
{
    cpu->op = op;
    gate_check(cpu, selector, descriptor);
    struct call_gate gate = gate_of(cpu, descriptor);
    struct target target = gate_target(cpu, &gate, call);
    check_offset(cpu, &target, gate.offset);
    if (call)
        push_return(cpu, op, &gate, &target);
    become_code(cpu, &target.code, target.level);
    return leave_to(cpu, op, gate.offset);
}
