/*
 * Any bytes as guest code: no crash, no hang, nothing outside the guest's memory. The first bytes
 * choose mode, flags, paging and control registers; the rest is code, which may write over itself,
 * its page tables and its descriptor tables.
 */
#include <stdlib.h>
#include <string.h>

#include "cpu/cpu.h"

#define MEMORY_BYTES (64u << 12)
#define CODE_AT 0x4000u
#define HEAD_BYTES 8u

static uint8_t memory[MEMORY_BYTES] __attribute__((aligned(4096)));
static struct cpu_space *space;
static struct cpu *cpu;
static struct cpu_state reset;

static int take_interrupt(void *owner)
{
    (void)owner;
    cpu_set_interrupt(cpu, false);
    return 0x21;
}

static void setup(void)
{
    static const struct cpu_ops ops = {.take_interrupt = take_interrupt};
    struct cpu_config config = {.ops = &ops, .tsc_hz = 1000000000};
    if (cpu)
        return;
    if (cpu_space_new(&space, NULL) < 0 ||
            cpu_space_map(space, 0, 0, MEMORY_BYTES, memory, 0, NULL) < 0)
        abort();
    config.space = space;
    if (cpu_new(&config, &cpu, NULL) < 0)
        abort();
    cpu_get_state(cpu, &reset);
}

static void put_entry(unsigned at, uint64_t value)
{
    memcpy(memory + at, &value, 8);
}

/* Page tables at 0x1000, a descriptor table at 0x800, an interrupt table at 0. */
static void fill_memory(const uint8_t *data, size_t size)
{
    memset(memory, 0, sizeof(memory));
    put_entry(0x1000, 0x2007);
    put_entry(0x2000, 0x3007);
    put_entry(0x3000, 0x87);
    put_entry(0x3008, 0x83);
    put_entry(0x808, 0x00af9b000000ffff);
    put_entry(0x810, 0x00cf93000000ffff);
    put_entry(0x818, 0x00cffb000000ffff);
    put_entry(0x820, 0x00cff3000000ffff);
    for (unsigned vector = 0; vector < 64; vector++)
        put_entry(vector * 16, 0x00008e0000080000 | (CODE_AT + vector));
    if (size > MEMORY_BYTES - CODE_AT)
        size = MEMORY_BYTES - CODE_AT;
    memcpy(memory + CODE_AT, data, size);
}

static struct cpu_segment flat(const uint8_t *head, bool is_code, bool is_64)
{
    return (struct cpu_segment){.limit = head[1] & 1 ? 0xffff : 0xffffffff,
            .selector = is_code ? 8 : 16,
            .type = is_code ? 11 : 3,
            .present = 1,
            .db = !is_64,
            .s = 1,
            .l = is_64,
            .dpl = head[1] & 2 ? 3 : 0};
}

static void fill_state(struct cpu_state *state, const uint8_t *head)
{
    unsigned mode = head[0] % 3;
    *state = reset;
    state->rip = CODE_AT;
    state->cr4 = 0x600 | (head[2] & 1 ? 0x300000 : 0) | (head[2] & 2 ? 0x10080 : 0);
    state->rflags = 2 | (uint64_t)head[3] << 8;
    state->idt = (struct cpu_table){0, 0x3ff};
    state->gdt = (struct cpu_table){0x800, 0x27};
    state->dr7 = head[4] & 8 ? (uint64_t)head[5] | (uint64_t)head[6] << 16 : 0;
    state->db[0] = CODE_AT + 2;
    state->db[1] = 0x5000;
    for (unsigned i = 0; i < CPU_REGS; i++)
        state->gpr[i] = 0x5000 + i * 0x40 + head[7];
    state->fcw = head[4] & 1 ? 0x340 : 0x37f;
    state->mxcsr = head[4] & 2 ? 0 : 0x1f80;
    for (unsigned i = 0; i < CPU_SEGMENTS; i++)
        if (mode)
            state->segment[i] = flat(head, i == CPU_CS, mode == 2 && i == CPU_CS);
        else
            state->segment[i].selector = 0, state->segment[i].base = 0;
    state->cr0 = mode ? 0x33 : 0x32;
    if (mode == 2) {
        state->cr0 |= 0x80010000;
        state->cr3 = 0x1000;
        state->cr4 |= 0x20;
        state->efer = 0xd01;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cpu_state state;
    struct cpu_exit stop;
    if (size < HEAD_BYTES + 1)
        return 0;
    setup();
    fill_memory(data + HEAD_BYTES, size - HEAD_BYTES);
    cpu_space_written(space, 0, MEMORY_BYTES);
    fill_state(&state, data);
    cpu_set_state(cpu, &state);
    for (unsigned i = 0; i < 4; i++) {
        cpu_run(cpu, 400, &stop);
        cpu_set_interrupt(cpu, i & 1);
        if (i == 2)
            cpu_nmi(cpu);
    }
    cpu_get_state(cpu, &state);
    return 0;
}
