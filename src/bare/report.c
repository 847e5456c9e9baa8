#include "bare/report.h"

#include <inttypes.h>
#include <string.h>

#include "bare/registers.h"
#include "base/cleanup.h"
#include "base/json.h"

#define UNKNOWN_MAX 64

struct flag_bit {
    const char *name;
    unsigned bit;
};

static const struct flag_bit flag_bits[] = {{"cf", 0}, {"pf", 2}, {"af", 4}, {"zf", 6}, {"sf", 7},
        {"tf", 8}, {"if", 9}, {"df", 10}, {"of", 11}};

/* ------------------------------------------------------------------ JSON */

static void add_hex(struct json_object *object, const char *key, uint64_t value)
{
    char text[24];
    snprintf(text, sizeof(text), "0x%" PRIx64, value);
    json_add_str(object, key, text);
}

/* A number as it is read: the most significant byte first. */
static void add_number(
        struct json_object *object, const char *key, const uint8_t *data, size_t bytes)
{
    char text[2 + 32 + 1] = "0x";
    for (size_t i = 0; i < bytes; i++)
        snprintf(text + 2 + i * 2, 3, "%02x", data[bytes - 1 - i]);
    json_add_str(object, key, text);
}

static struct json_object *new_registers(const struct cpu_state *state)
{
    struct json_object *object = json_object_new_object();
    for (unsigned i = 0; i < CPU_REGS; i++)
        add_hex(object, register_names[i], state->gpr[i]);
    add_hex(object, "rip", state->rip);
    add_hex(object, "rflags", state->rflags);
    for (unsigned i = 0; i < CPU_SEGMENTS; i++)
        add_hex(object, segment_names[i], state->segment[i].selector);
    add_hex(object, "fs_base", state->segment[CPU_FS].base);
    add_hex(object, "gs_base", state->segment[CPU_GS].base);
    add_hex(object, "cr0", state->cr0);
    add_hex(object, "cr2", state->cr2);
    add_hex(object, "cr3", state->cr3);
    add_hex(object, "cr4", state->cr4);
    add_hex(object, "efer", state->efer);
    add_hex(object, "mxcsr", state->mxcsr);
    return object;
}

static struct json_object *new_flags(uint64_t rflags)
{
    struct json_object *object = json_object_new_object();
    for (size_t i = 0; i < ARRAY_SIZE(flag_bits); i++)
        json_object_object_add(object, flag_bits[i].name,
                json_object_new_int((int)((rflags >> flag_bits[i].bit) & 1)));
    return object;
}

static struct json_object *new_xmm(const struct cpu_state *state)
{
    struct json_object *object = json_object_new_object();
    for (unsigned i = 0; i < 16; i++) {
        char name[8];
        snprintf(name, sizeof(name), "xmm%u", i);
        add_number(object, name, state->xmm[i], 16);
    }
    return object;
}

static struct json_object *new_x87(const struct cpu_state *state)
{
    struct json_object *object = json_object_new_object();
    add_hex(object, "fcw", state->fcw);
    add_hex(object, "fsw", state->fsw);
    add_hex(object, "ftw", state->ftwx);
    json_object_object_add(object, "top", json_object_new_int((state->fsw >> 11) & 7));
    for (unsigned i = 0; i < 8; i++) {
        char name[8];
        snprintf(name, sizeof(name), "st%u", i);
        add_number(object, name, state->fpr[i], 10);
    }
    return object;
}

static struct json_object *new_dump(const uint8_t *data, uint64_t length)
{
    _cleanup_buf_ struct buf hex = {.max = (size_t)256 << 20};
    for (uint64_t i = 0; i < length; i++)
        buf_printf(&hex, "%02x", data[i]);
    return json_object_new_string(buf_text(&hex));
}

static struct json_object *new_memory(const struct bare_options *options, const struct bench *bench)
{
    struct json_object *object = json_object_new_object();
    for (size_t i = 0; i < options->dump_count; i++) {
        const struct bare_dump *dump = &options->dumps[i];
        char name[24];
        snprintf(name, sizeof(name), "0x%" PRIx64, dump->address);
        json_object_object_add(object, name, new_dump(bench->memory + dump->address, dump->length));
    }
    return object;
}

/* The opcodes that do not exist here and how often each was met. */
static struct json_object *new_unknown(const struct bench *bench)
{
    struct cpu_unknown list[UNKNOWN_MAX];
    struct json_object *object = json_object_new_object();
    size_t count = cpu_get_unknown(bench->cpu, list, UNKNOWN_MAX);
    for (size_t i = 0; i < count && i < UNKNOWN_MAX; i++)
        json_object_object_add(object, list[i].name, json_object_new_uint64(list[i].count));
    return object;
}

static void add_stop(struct json_object *object, const struct cpu_exit *stop)
{
    json_add_str(object, "stop", bench_stop_name(stop));
    if (stop->reason != CPU_EXIT_FAULT && stop->reason != CPU_EXIT_SHUTDOWN)
        return;
    json_object_object_add(object, "vector", json_object_new_int(stop->vector));
    json_object_object_add(
            object, "error_code", stop->has_error ? json_object_new_int64(stop->error_code) : NULL);
}

void report_json(struct buf *out, const struct bare_options *options, struct bench *bench,
        const struct cpu_exit *stop)
{
    struct cpu_state state;
    _cleanup_json_ struct json_object *report = json_object_new_object();
    cpu_get_state(bench->cpu, &state);
    add_stop(report, stop);
    json_object_object_add(report, "instructions", json_object_new_uint64(stop->executed));
    json_object_object_add(report, "registers", new_registers(&state));
    json_object_object_add(report, "flags", new_flags(state.rflags));
    json_object_object_add(report, "xmm", new_xmm(&state));
    json_object_object_add(report, "x87", new_x87(&state));
    json_object_object_add(report, "memory", new_memory(options, bench));
    json_object_object_add(report, "unknown", new_unknown(bench));
    buf_add_str(out, json_text(report));
    buf_add_char(out, '\n');
}

/* ------------------------------------------------------------------ text */

static void text_stop(struct buf *out, const struct cpu_exit *stop)
{
    buf_printf(out, "stop          %s", bench_stop_name(stop));
    if (stop->reason == CPU_EXIT_FAULT || stop->reason == CPU_EXIT_SHUTDOWN)
        buf_printf(out, ", vector %u", stop->vector);
    if (stop->has_error)
        buf_printf(out, ", error code 0x%x", stop->error_code);
    buf_printf(out, "\ninstructions  %" PRIu64 "\n", stop->executed);
}

static void text_unknown(struct buf *out, const struct bench *bench)
{
    struct cpu_unknown list[UNKNOWN_MAX];
    size_t count = cpu_get_unknown(bench->cpu, list, UNKNOWN_MAX);
    for (size_t i = 0; i < count && i < UNKNOWN_MAX; i++)
        buf_printf(out, "unknown       %s, met %" PRIu64 "x\n", list[i].name, list[i].count);
}

static void text_memory(
        struct buf *out, const struct bare_options *options, const struct bench *bench)
{
    for (size_t i = 0; i < options->dump_count; i++) {
        const struct bare_dump *dump = &options->dumps[i];
        for (uint64_t at = 0; at < dump->length; at++) {
            if (at % 16 == 0)
                buf_printf(out, "%s%08" PRIx64 " ", at ? "\n" : "", dump->address + at);
            buf_printf(out, " %02x", bench->memory[dump->address + at]);
        }
        buf_add_char(out, '\n');
    }
}

void report_text(struct buf *out, const struct bare_options *options, struct bench *bench,
        const struct cpu_exit *stop)
{
    struct cpu_state state;
    cpu_get_state(bench->cpu, &state);
    text_stop(out, stop);
    text_unknown(out, bench);
    for (unsigned i = 0; i < CPU_REGS; i++)
        buf_printf(out, "%-4s %016" PRIx64 "%s", register_names[i], state.gpr[i],
                i % 4 == 3 ? "\n" : "  ");
    buf_printf(out, "rip  %016" PRIx64 "  rflags %08" PRIx64 "  mxcsr %04x  fcw %04x  fsw %04x\n",
            state.rip, state.rflags, state.mxcsr, state.fcw, state.fsw);
    for (unsigned i = 0; i < 16; i++) {
        uint64_t half[2];
        memcpy(half, state.xmm[i], 16);
        buf_printf(out, "xmm%-2u %016" PRIx64 "%016" PRIx64 "%s", i, half[1], half[0],
                i % 2 ? "\n" : "  ");
    }
    text_memory(out, options, bench);
}
