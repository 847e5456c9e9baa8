#include "bare/bench.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>

#include "bare/registers.h"
#include "base/io.h"

#define TABLE_BYTES 8192ull
#define TABLES_AT BENCH_BYTES
#define GDT_AT (BENCH_BYTES - 4096)
#define FILE_BYTES_MAX ((size_t)1 << 30)
#define STACK_AT 0x7c00u

#define PTE_PRESENT_WRITE 3ull
#define PTE_LARGE 0x80ull

#define CR0_PROTECTED 0x33ull /* PE, MP, ET, NE */
#define CR0_REAL 0x32ull
#define CR0_PAGING 0x80000000ull
#define CR4_SSE 0x600ull
#define CR4_PAE 0x20ull
#define EFER_LONG 0xd01ull /* SCE, LME, LMA, NXE */

/* ------------------------------------------------------------------ memory */

static uint8_t *map_memory(uint64_t bytes)
{
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

static int make_memory(struct bench *bench, struct error *err)
{
    bench->memory = map_memory(BENCH_BYTES);
    bench->tables = map_memory(TABLE_BYTES);
    if (!bench->memory || !bench->tables)
        return error_sys(err, errno, "map 4 GiB of memory for the CPU");
    int r = cpu_space_new(&bench->space, err);
    if (r == 0)
        r = cpu_space_map(bench->space, 0, 0, BENCH_BYTES, bench->memory, 0, err);
    if (r == 0)
        r = cpu_space_map(bench->space, 1, TABLES_AT, TABLE_BYTES, bench->tables, 0, err);
    return r;
}

/* Identity: the first four gigabytes by four large pages. */
static void make_tables(struct bench *bench)
{
    uint64_t *top = (uint64_t *)(void *)bench->tables, *directory = top + 512;
    top[0] = (TABLES_AT + 4096) | PTE_PRESENT_WRITE;
    for (uint64_t i = 0; i < 4; i++)
        directory[i] = i << 30 | PTE_LARGE | PTE_PRESENT_WRITE;
}

static int inside(uint64_t address, uint64_t length, const char *what, struct error *err)
{
    if (address < BENCH_BYTES && length <= BENCH_BYTES - address)
        return 0;
    return error_set(err, ERANGE, "%s at 0x%llx, %llu bytes: the memory ends at 4 GiB", what,
            (unsigned long long)address, (unsigned long long)length);
}

static int load_file(struct bench *bench, const struct bare_load *load, struct error *err)
{
    _cleanup_buf_ struct buf buf = {.max = FILE_BYTES_MAX};
    int r = io_read_file_at(AT_FDCWD, load->path, &buf);
    if (r < 0)
        return error_sys(err, -r, "read %s", load->path);
    r = inside(load->address, buf.length, load->path, err);
    if (r == 0 && buf.length)
        memcpy(bench->memory + load->address, buf.data, buf.length);
    return r;
}

static int load_all(struct bench *bench, const struct bare_options *options, struct error *err)
{
    int r = 0;
    for (size_t i = 0; i < options->load_count && r == 0; i++)
        r = load_file(bench, &options->loads[i], err);
    for (size_t i = 0; i < options->bytes_count && r == 0; i++) {
        const struct bare_bytes *bytes = &options->bytes[i];
        r = inside(bytes->address, bytes->length, "--mem", err);
        if (r == 0)
            memcpy(bench->memory + bytes->address, bytes->data, bytes->length);
    }
    for (size_t i = 0; i < options->dump_count && r == 0; i++)
        r = inside(options->dumps[i].address, options->dumps[i].length, "--dump", err);
    return r;
}

/* ------------------------------------------------------------------ start state */

static struct cpu_segment flat(uint16_t selector, bool is_code, bool is_64)
{
    return (struct cpu_segment){.limit = 0xffffffff,
            .selector = selector,
            .type = is_code ? 11 : 3,
            .present = 1,
            .db = !is_64,
            .s = 1,
            .l = is_64,
            .g = 1};
}

/* The descriptors behind the selectors, so that code may load them again. */
static void make_gdt(struct bench *bench, bool is_64)
{
    const uint64_t entries[3] = {
            0, is_64 ? 0x00af9b000000ffff : 0x00cf9b000000ffff, 0x00cf93000000ffff};
    memcpy(bench->memory + GDT_AT, entries, sizeof(entries));
}

static void start_protected(struct bench *bench, struct cpu_state *state, bool is_64)
{
    make_gdt(bench, is_64);
    for (unsigned i = 0; i < CPU_SEGMENTS; i++)
        state->segment[i] = flat(i == CPU_CS ? 8 : 16, i == CPU_CS, is_64 && i == CPU_CS);
    state->gdt = (struct cpu_table){GDT_AT, 23};
    state->idt = (struct cpu_table){0, 0};
    state->cr0 = CR0_PROTECTED;
    if (!is_64)
        return;
    make_tables(bench);
    state->cr0 |= CR0_PAGING;
    state->cr3 = TABLES_AT;
    state->cr4 |= CR4_PAE;
    state->efer = EFER_LONG;
}

/* Real mode: an entry above 64 KiB gets a code segment of its own. */
static void start_real(struct cpu_state *state, uint64_t entry)
{
    for (unsigned i = 0; i < CPU_SEGMENTS; i++) {
        state->segment[i].selector = 0;
        state->segment[i].base = 0;
    }
    state->segment[CPU_CS].selector = (uint16_t)((entry & 0xf0000) >> 4);
    state->segment[CPU_CS].base = entry & 0xf0000;
    state->rip = entry & 0xffff;
    state->idt = (struct cpu_table){0, 0x3ff};
    state->cr0 = CR0_REAL;
}

static int start(struct bench *bench, const struct bare_options *options, struct error *err)
{
    struct cpu_state state;
    cpu_get_state(bench->cpu, &state);
    memset(state.gpr, 0, sizeof(state.gpr));
    state.gpr[CPU_RSP] = STACK_AT;
    state.rip = options->entry;
    state.cr4 = CR4_SSE;
    if (options->mode == 16)
        start_real(&state, options->entry);
    else
        start_protected(bench, &state, options->mode == 64);
    for (size_t i = 0; i < options->register_count; i++)
        if (register_set(&state, options->registers[i].name, options->registers[i].value) < 0)
            return error_set(err, EINVAL, "--reg %s: there is no such register; see viv-cpu(1)",
                    options->registers[i].name);
    cpu_set_state(bench->cpu, &state);
    return 0;
}

static int check_entry(const struct bare_options *options, struct error *err)
{
    uint64_t end = options->mode == 16 ? 1ull << 20 : BENCH_BYTES;
    if (options->entry < end)
        return 0;
    return error_set(err, EINVAL, "--entry 0x%llx: %u-bit code starts below 0x%llx",
            (unsigned long long)options->entry, options->mode, (unsigned long long)end);
}

int bench_setup(struct bench *bench, const struct bare_options *options, struct error *err)
{
    static const struct cpu_ops no_devices;
    *bench = (struct bench){0};
    int r = check_entry(options, err);
    if (r == 0)
        r = make_memory(bench, err);
    struct cpu_config config = {
            .ops = &no_devices, .space = bench->space, .stop_at_fault = !options->deliver};
    if (r == 0)
        r = cpu_new(&config, &bench->cpu, err);
    if (r == 0)
        r = start(bench, options, err);
    if (r == 0)
        r = load_all(bench, options, err);
    return r;
}

void bench_free(struct bench *bench)
{
    cpu_free(bench->cpu);
    cpu_space_free(bench->space);
    if (bench->memory)
        munmap(bench->memory, BENCH_BYTES);
    if (bench->tables)
        munmap(bench->tables, TABLE_BYTES);
}

const char *bench_stop_name(const struct cpu_exit *stop)
{
    switch (stop->reason) {
    case CPU_EXIT_HLT:
        return "hlt";
    case CPU_EXIT_FAULT:
    case CPU_EXIT_SHUTDOWN:
        return "fault";
    default:
        return "limit";
    }
}
