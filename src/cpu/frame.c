#include "cpu/frame.h"

#include "cpu/fault.h"
#include "cpu/mem.h"
#include "cpu/mmu.h"
#include "cpu/segment.h"

static uint64_t frame_linear(struct cpu *cpu, const struct frame *frame)
{
    uint64_t offset = frame->rsp & frame->mask;
    if (frame->flat) {
        if (!is_canonical(offset))
            cpu_fault_code(cpu, VEC_SS, frame->fault);
        return offset;
    }
    if (!segment_holds(&frame->ss, offset, frame->bytes))
        cpu_fault_code(cpu, VEC_SS, frame->fault);
    return (uint32_t)(frame->base + offset);
}

void frame_push(struct cpu *cpu, struct frame *frame, uint64_t value)
{
    frame->rsp = (frame->rsp & ~frame->mask) | ((frame->rsp - frame->bytes) & frame->mask);
    uint64_t linear = frame_linear(cpu, frame);
    if (!frame->user_rights) {
        sys_store(cpu, linear, &value, frame->bytes);
        return;
    }
    const struct op *running = cpu->op;
    struct op op = running ? *running : (struct op){0};
    op.seg = CPU_SS;
    mem_store(cpu, &op, linear, &value, frame->bytes);
    cpu->op = running; /* the store may have noted its own, which ends here */
}

static struct frame frame_of(const struct cpu_segment *ss, uint64_t rsp, unsigned bytes)
{
    return (struct frame){.rsp = rsp,
            .base = ss->base,
            .mask = ss->db ? 0xffffffffull : 0xffffull,
            .ss = *ss,
            .bytes = bytes};
}

struct frame frame_here(const struct cpu *cpu, unsigned bytes, uint32_t ext)
{
    struct frame frame = frame_of(&cpu->segment[CPU_SS], cpu->regs[CPU_RSP], bytes);
    frame.user_rights = cpu->cpl == 3;
    frame.fault = ext;
    return frame;
}

/* ------------------------------------------------------------------ inner stacks */

static _Noreturn void task_fault(struct cpu *cpu, uint32_t ext)
{
    cpu_fault_code(cpu, VEC_TS, (cpu->tr.selector & 0xfffcu) | ext);
}

/* SS and ESP for a privilege level out of a 16- or 32-bit task state. */
static uint32_t task_stack(struct cpu *cpu, unsigned level, uint32_t ext, uint16_t *ret_ss)
{
    bool wide = cpu->tr.type & 8;
    unsigned offset = wide ? 4 + level * 8 : 2 + level * 4;
    uint32_t esp = 0;
    if (offset + (wide ? 5 : 3) > cpu->tr.limit)
        task_fault(cpu, ext);
    sys_load(cpu, cpu->tr.base + offset, &esp, wide ? 4 : 2);
    sys_load(cpu, cpu->tr.base + offset + (wide ? 4 : 2), ret_ss, 2);
    return esp;
}

struct frame frame_inner(struct cpu *cpu, unsigned level, unsigned bytes, uint32_t ext)
{
    uint16_t selector;
    uint32_t esp = task_stack(cpu, level, ext, &selector);
    struct cpu_segment ss = segment_read_stack(cpu, selector, level, VEC_TS, ext);
    struct frame frame = frame_of(&ss, esp, bytes);
    frame.fault = (selector & 0xfffcu) | ext;
    return frame;
}

/* ------------------------------------------------------------------ long mode */

/* The stack pointer for a privilege level (or IST entry, 1-7) out of the long mode task state. */
static uint64_t task_stack_long(struct cpu *cpu, unsigned level, unsigned ist, uint32_t ext)
{
    uint64_t rsp;
    unsigned offset = ist ? 0x1c + ist * 8 : 4 + level * 8;
    if (offset + 7 > cpu->tr.limit)
        task_fault(cpu, ext);
    sys_load(cpu, cpu->tr.base + offset, &rsp, 8);
    return rsp;
}

struct frame frame_long(struct cpu *cpu, unsigned level, unsigned ist, uint32_t ext)
{
    struct frame frame = {.rsp = cpu->regs[CPU_RSP],
            .mask = ~0ull,
            .ss = cpu->segment[CPU_SS],
            .flat = true,
            .user_rights = level == 3,
            .bytes = 8,
            .fault = ext};
    if (ist || level < cpu->cpl)
        frame.rsp = task_stack_long(cpu, level, ist, ext);
    if (level < cpu->cpl)
        frame.ss = (struct cpu_segment){
                .selector = (uint16_t)level, .unusable = 1, .dpl = (uint8_t)level};
    return frame;
}
