/*
 * The CPU against silicon: random cases of every instruction form, in 64-, 32- and 16-bit code and
 * with segments of every kind, done by the host's processor in a child process (native.c) and by
 * our CPU (emulate.c), and compared (silicon.c). Both see the same user-mode address space: a code
 * page, and a few data pages with a hole after them; and the same descriptors (segments.c).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "values.h"

#define CODE_AT 0x10000000ull /* the instruction, then two landing pads */
#define AREA_AT 0x10010000ull /* registers to load and where they are saved */
#define DATA_AT 0x20000000ull /* two pages; then a hole; then a read-only page */
#define HOLE_AT (DATA_AT + 0x2000)
#define CONST_AT (DATA_AT + 0x3000)
#define DATA_BYTES 0x4000u

#define PAD_BYTES 7u /* of one landing pad: the second is where branches go */

/* The parts of the data that cases use: around the boundary of the two pages, before the hole. */
#define MIDDLE_AT (DATA_AT + 0x1000 - 256)
#define MIDDLE_BYTES 512u
#define END_AT (HOLE_AT - 256)
#define END_BYTES 256u
#define WINDOW_BYTES (MIDDLE_BYTES + END_BYTES)

struct registers {
    uint64_t gpr[16]; /* the encoding's order */
    uint64_t flags;
    uint16_t segment[6]; /* the encoding's order; CS is not compared */
    uint16_t unused[2];
    uint64_t base[2];                             /* of FS and GS; set where the selector is null */
    uint8_t fx[512] __attribute__((aligned(64))); /* as FXSAVE64 */
};

struct test_case {
    const char *name;
    unsigned bits;    /* of the code: 64, 32 or 16 */
    unsigned landing; /* bits of the code at the second landing pad: a far transfer's target */
    uint8_t code[32];
    unsigned length;
    struct registers in;
    uint8_t window[WINDOW_BYTES];
};

#define NO_TRAP -1

struct result {
    int trap; /* vector, NO_TRAP for none */
    uint32_t error;
    uint64_t cr2;
    bool behind;     /* the trap's address is behind the instruction */
    bool second_pad; /* went on at the second landing pad */
    struct registers out;
    uint8_t window[WINDOW_BYTES];
};

/* Forms are the entries of the CPU's own tables, so none can be forgotten. */
size_t generate_form_count(void);
const char *generate_form_name(size_t form);
void generate_case(struct random *random, size_t form, struct test_case *ret);

/* Prepares this process for native runs: maps the pages, catches signals. */
void native_setup(void);
void native_run(const struct test_case *test, struct result *ret);

void emulate_setup(void);
void emulate_run(const struct test_case *test, struct result *ret);

/* What the read-only page holds, by offset. */
static inline uint8_t const_byte(unsigned offset)
{
    return (uint8_t)(offset * 37 + 11);
}
