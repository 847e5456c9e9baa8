#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cpu/cpu.h"
#include "silicon.h"

#define TABLES_AT 0x100000ull
#define PTE_RW_USER 7ull
#define PTE_RO_USER 5ull

static struct cpu *cpu;
static struct cpu_state fresh;
static uint8_t tables[6][4096] __attribute__((aligned(4096)));
static uint8_t code[4096] __attribute__((aligned(4096)));
static uint8_t data[DATA_BYTES] __attribute__((aligned(4096)));

static void set_entry(unsigned table, uint64_t linear, unsigned shift, uint64_t value)
{
    ((uint64_t *)(void *)tables[table])[(linear >> shift) & 511] = value;
}

static uint64_t table_entry(unsigned table)
{
    return (TABLES_AT + table * 4096ull) | PTE_RW_USER;
}

/* Tables: 0 and 1 the upper levels, 2 the directory, 3 code, 4 data. */
static void make_tables(void)
{
    set_entry(0, 0, 39, table_entry(1));
    set_entry(1, 0, 30, table_entry(2));
    set_entry(2, CODE_AT, 21, table_entry(3));
    set_entry(2, DATA_AT, 21, table_entry(4));
    set_entry(3, CODE_AT, 12, CODE_AT | PTE_RW_USER);
    set_entry(4, DATA_AT, 12, DATA_AT | PTE_RW_USER);
    set_entry(4, DATA_AT + 4096, 12, (DATA_AT + 4096) | PTE_RW_USER);
    set_entry(4, CONST_AT, 12, CONST_AT | PTE_RO_USER);
}

static struct cpu_segment flat(uint16_t selector)
{
    bool is_code = selector != FLAT_DATA, is_64 = selector == CODE_64;
    return (struct cpu_segment){.limit = 0xffffffff,
            .selector = selector,
            .type = is_code ? 11 : 3,
            .present = 1,
            .dpl = 3,
            .db = !is_64,
            .s = 1,
            .l = is_64,
            .g = 1};
}

static void fail(const struct error *err)
{
    fprintf(stderr, "%s\n", err->text);
    exit(2);
}

void emulate_setup(void)
{
    static const struct cpu_ops ops;
    struct cpu_space *space;
    struct error err = ERROR_NONE;
    make_tables();
    for (unsigned i = 0; i < 4096; i++)
        data[0x3000 + i] = const_byte(i);
    if (cpu_space_new(&space, &err) < 0 ||
            cpu_space_map(space, 0, TABLES_AT, sizeof(tables), tables, 0, &err) < 0 ||
            cpu_space_map(space, 1, CODE_AT, sizeof(code), code, 0, &err) < 0 ||
            cpu_space_map(space, 2, DATA_AT, sizeof(data), data, 0, &err) < 0)
        fail(&err);
    struct cpu_config config = {.ops = &ops, .space = space, .stop_at_fault = true};
    if (cpu_new(&config, &cpu, &err) < 0)
        fail(&err);
    cpu_get_state(cpu, &fresh);
    for (unsigned i = 0; i < CPU_SEGMENTS; i++)
        fresh.segment[i] = flat(FLAT_DATA);
    fresh.cr0 = 0x80050033;
    fresh.cr3 = TABLES_AT;
    fresh.cr4 = 0x6a0;
    fresh.efer = 0xd01;
    fresh.rip = CODE_AT;
}

static void set_fx(struct cpu_state *state, const uint8_t *fx)
{
    memcpy(&state->fcw, fx, 2);
    memcpy(&state->fsw, fx + 2, 2);
    state->ftwx = fx[4];
    memcpy(&state->mxcsr, fx + 24, 4);
    memcpy(state->fpr, fx + 32, 128);
    memcpy(state->xmm, fx + 160, 256);
}

static void get_fx(const struct cpu_state *state, uint8_t *fx)
{
    memset(fx, 0, 512);
    memcpy(fx, &state->fcw, 2);
    memcpy(fx + 2, &state->fsw, 2);
    fx[4] = state->ftwx;
    memcpy(fx + 24, &state->mxcsr, 4);
    for (unsigned i = 0; i < 8; i++)
        memcpy(fx + 32 + i * 16, state->fpr[i], 10);
    memcpy(fx + 160, state->xmm, 256);
}

void emulate_run(const struct test_case *test, struct result *ret)
{
    struct cpu_state state = fresh;
    struct cpu_exit stop;
    memcpy(code, test->code, sizeof(test->code));
    memcpy(data + (MIDDLE_AT - DATA_AT), test->window, MIDDLE_BYTES);
    memcpy(data + (END_AT - DATA_AT), test->window + MIDDLE_BYTES, END_BYTES);
    memcpy(state.gpr, test->in.gpr, sizeof(state.gpr));
    state.segment[CPU_CS] = flat(test->is_32 ? CODE_32 : CODE_64);
    state.rflags = test->in.flags;
    set_fx(&state, test->in.fx);
    cpu_set_state(cpu, &state);
    cpu_run(cpu, 1, &stop);
    cpu_get_state(cpu, &state);
    bool fault = stop.reason == CPU_EXIT_FAULT;
    ret->trap = fault ? stop.vector : NO_TRAP;
    ret->error = fault && stop.has_error ? stop.error_code : 0;
    ret->cr2 = fault && stop.vector == 14 ? state.cr2 : 0;
    ret->second_pad = state.rip == CODE_AT + test->length + PAD_BYTES;
    if (!fault && !ret->second_pad && state.rip != CODE_AT + test->length)
        ret->trap = 1000; /* went nowhere that the host could have gone */
    memcpy(ret->out.gpr, state.gpr, sizeof(state.gpr));
    ret->out.flags = state.rflags;
    get_fx(&state, ret->out.fx);
    memcpy(ret->window, data + (MIDDLE_AT - DATA_AT), MIDDLE_BYTES);
    memcpy(ret->window + MIDDLE_BYTES, data + (END_AT - DATA_AT), END_BYTES);
}
