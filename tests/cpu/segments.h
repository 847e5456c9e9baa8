/*
 * Descriptors that cases use, the same for the host's processor and for our CPU: those that Linux
 * has for programs, and a local table of segments with bases, limits and types of every kind.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "values.h"

#define CODE_32 0x23 /* selectors as Linux has them */
#define CODE_64 0x33
#define FLAT_DATA 0x2b

/* Of the local table, with the privilege of programs. */
#define LOCAL(number) (uint16_t)((number)*8 + 7)
#define LOCAL_CODE_16 LOCAL(0)
#define LOCAL_CODE_32 LOCAL(1)
#define LOCAL_DATA_16 LOCAL(2)
#define LOCAL_DATA_32 LOCAL(3)

#define GLOBAL_ENTRIES 16u
#define LOCAL_ENTRIES 14u

/* Makes the local table this process's. Exits when the host's kernel refuses. */
void segments_install(void);

/* The descriptors as the processor reads them: what Linux has in its table as far as programs see
 * it (nothing where they see nothing), and the local table. */
void segments_gdt(uint64_t gdt[GLOBAL_ENTRIES]);
void segments_ldt(uint64_t ldt[LOCAL_ENTRIES]);

/* What a selector stands for; 0 where it has no descriptor. */
uint64_t segments_descriptor(uint16_t selector);
uint64_t segments_base(uint16_t selector);

/* Any selector, good or bad: null, beyond its table, of a kind that cannot be loaded, or of another
 * privilege. None leads to what differs from one kernel or processor to the next. */
uint16_t segments_any(struct random *random);

/* A segment that data can be in, as a rule, and one that the stack can be in. */
uint16_t segments_data(struct random *random);
uint16_t segments_stack(struct random *random);

/* A code segment that a far transfer may go to, by the bits of its code. */
struct far_target {
    uint16_t selector;
    unsigned bits;
};
struct far_target segments_code(struct random *random, bool only_low); /* only_low: offsets of 16
                                                                          bits must reach */

/* One that it may not. */
uint16_t segments_no_code(struct random *random);
