#include "vm/boot/start.h"

/* Segments with these numbers exist in no table: kernels load their own before they reload one. */
static struct cpu_segment flat_segment(uint16_t selector, uint8_t type)
{
    return (struct cpu_segment){
            .limit = UINT32_MAX,
            .selector = selector,
            .type = type,
            .present = 1,
            .s = 1,
            .db = 1,
            .g = 1,
    };
}

static void init_state(struct cpu_state *state)
{
    *state = (struct cpu_state){
            .rflags = 2,
            .fcw = 0x37f,
            .mxcsr = 0x1f80,
            .dr6 = 0xffff0ff0,
            .dr7 = 0x400,
    };
    state->tr = (struct cpu_segment){.limit = 0x67, .type = 0xb, .present = 1};
    state->ldt = (struct cpu_segment){.limit = 0xffff, .type = 2, .present = 1};
    state->idt.limit = state->gdt.limit = 0xffff;
}

void start_protected_mode(struct cpu_state *state, uint32_t entry)
{
    init_state(state);
    for (int i = 0; i < CPU_SEGMENTS; i++)
        state->segment[i] = flat_segment(0x10, 3);
    state->segment[CPU_CS] = flat_segment(0x08, 0xb);
    state->cr0 = 0x11; /* protected mode, x87 present */
    state->rip = entry;
}

void start_real_mode(struct cpu_state *state, uint32_t entry)
{
    init_state(state);
    for (int i = 0; i < CPU_SEGMENTS; i++)
        state->segment[i] = (struct cpu_segment){.limit = 0xffff, .type = 3, .present = 1, .s = 1};
    state->segment[CPU_CS].type = 0xb;
    state->segment[CPU_CS].base = entry & ~0xffffU;
    state->segment[CPU_CS].selector = (uint16_t)((entry & ~0xffffU) >> 4);
    state->cr0 = 0x10;
    state->rip = entry & 0xffff;
}
