#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cpu/cpu.h"
#include "cpu/segment.h"
#include "segments.h"
#include "silicon.h"

#define TABLES_AT 0x100000ull
#define PTE_RW_USER 7ull
#define PTE_RO_USER 5ull
#define PTE_KERNEL 3ull

/* The last of the tables' pages holds the descriptors: behind the code, out of programs' reach. */
#define GDT_AT (CODE_AT + 0x100000)
#define LDT_AT (GDT_AT + 0x800)

static struct cpu *cpu;
static struct cpu_state fresh;
static uint8_t tables[7][4096] __attribute__((aligned(4096)));
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
    set_entry(3, GDT_AT, 12, (TABLES_AT + 6 * 4096) | PTE_KERNEL);
    set_entry(4, DATA_AT, 12, DATA_AT | PTE_RW_USER);
    set_entry(4, DATA_AT + 4096, 12, (DATA_AT + 4096) | PTE_RW_USER);
    set_entry(4, CONST_AT, 12, CONST_AT | PTE_RO_USER);
}

static void make_descriptors(void)
{
    segments_gdt((uint64_t *)(void *)tables[6]);
    segments_ldt((uint64_t *)(void *)(tables[6] + (LDT_AT - GDT_AT)));
}

static struct cpu_segment segment_of(uint16_t selector)
{
    uint64_t low = segments_descriptor(selector);
    struct cpu_segment segment = descriptor_segment(low, selector);
    if (!(selector >> 2))
        segment = (struct cpu_segment){.selector = selector, .unusable = 1};
    return segment;
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
    make_descriptors();
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
    fresh.gdt = (struct cpu_table){GDT_AT, GLOBAL_ENTRIES * 8 - 1};
    fresh.ldt = (struct cpu_segment){.base = LDT_AT,
            .limit = LOCAL_ENTRIES * 8 - 1,
            .selector = 0x50,
            .type = 2,
            .present = 1};
    fresh.tr.limit = 0x66; /* no port is a program's */
    fresh.cr0 = 0x80050033;
    fresh.cr3 = TABLES_AT;
    fresh.cr4 = 0x106a0; /* with FSGSBASE */
    fresh.efer = 0xd01;
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

static void set_segments(struct cpu_state *state, const struct registers *in)
{
    for (unsigned i = 0; i < CPU_SEGMENTS; i++) {
        state->segment[i] = segment_of(in->segment[i]);
        if (i >= CPU_FS && !(in->segment[i] >> 2))
            state->segment[i].base = in->base[i - CPU_FS];
    }
}

static void get_segments(const struct cpu_state *state, struct registers *out)
{
    for (unsigned i = 0; i < CPU_SEGMENTS; i++)
        out->segment[i] = state->segment[i].selector;
    out->base[0] = state->segment[CPU_FS].base;
    out->base[1] = state->segment[CPU_GS].base;
}

/* Where it went on: at one of the pads, or behind what trapped. */
static void get_place(
        const struct test_case *test, const struct cpu_state *state, bool fault, struct result *ret)
{
    uint64_t base = state->segment[CPU_CS].l ? 0 : state->segment[CPU_CS].base;
    uint64_t past = base + state->rip - CODE_AT;
    ret->second_pad = !fault && past == test->length + PAD_BYTES;
    ret->behind = fault && past == test->length;
    if (past != (fault && !ret->behind ? 0 : test->length + (ret->second_pad ? PAD_BYTES : 0)))
        ret->trap = 1000; /* went nowhere that the host could have gone */
    if (!fault && ret->second_pad && state->segment[CPU_CS].selector % 4 != 3)
        ret->trap = 1001; /* not what a program's code segment is called */
}

void emulate_run(const struct test_case *test, struct result *ret)
{
    struct cpu_state state = fresh;
    struct cpu_exit stop;
    memcpy(code, test->code, sizeof(test->code));
    memset(data, 0, HOLE_AT - DATA_AT);
    memcpy(data + (MIDDLE_AT - DATA_AT), test->window, MIDDLE_BYTES);
    memcpy(data + (END_AT - DATA_AT), test->window + MIDDLE_BYTES, END_BYTES);
    memcpy(state.gpr, test->in.gpr, sizeof(state.gpr));
    set_segments(&state, &test->in);
    state.rip = CODE_AT - segments_base(test->in.segment[CPU_CS]);
    state.rflags = test->in.flags;
    set_fx(&state, test->in.fx);
    cpu_set_state(cpu, &state);
    cpu_run(cpu, 1, &stop);
    cpu_get_state(cpu, &state);
    bool fault = stop.reason == CPU_EXIT_FAULT;
    ret->trap = fault ? stop.vector : NO_TRAP;
    ret->error = fault && stop.has_error ? stop.error_code : 0;
    ret->cr2 = fault && stop.vector == 14 ? state.cr2 : 0;
    get_place(test, &state, fault, ret);
    memcpy(ret->out.gpr, state.gpr, sizeof(state.gpr));
    ret->out.flags = state.rflags;
    get_segments(&state, &ret->out);
    get_fx(&state, ret->out.fx);
    memcpy(ret->window, data + (MIDDLE_AT - DATA_AT), MIDDLE_BYTES);
    memcpy(ret->window + MIDDLE_BYTES, data + (END_AT - DATA_AT), END_BYTES);
}
