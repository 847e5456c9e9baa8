/* A case while it is being built: shared by generate.c, and special.c for forms with needs of their
 * own. */
#pragma once

#include "cpu/decode.h"
#include "silicon.h"

struct builder {
    struct random *random;
    struct test_case *test;
    const struct opcode *opcode;
    unsigned rex;
    unsigned address_bits; /* of memory operands: 64, 32, 16 */
    unsigned prefix_bytes;
    int override;       /* the segment that memory operands are in by a prefix, or -1 */
    uint64_t code_base; /* of the code segment */
    bool has_rex, mem;
    bool is_stack; /* its only operand is the stack, which no prefix moves */
};

/* A linear address for an operand: good ones, and at times ones that fault. */
uint64_t build_target(struct builder *builder);

/* The offset that a linear address has in a segment, or in the one that a prefix puts in its place.
 */
uint64_t build_offset(const struct builder *builder, unsigned segment, uint64_t linear);

/* All of the window the same eight bytes. */
void build_fill(struct test_case *test, uint64_t value);

/* The instruction once more behind its prefixes, with [RSI] its operand, at that address. */
void build_by_rsi(struct builder *builder, uint64_t linear);

enum cpu_mode build_mode(const struct test_case *test);

bool build_is_far(const struct opcode *opcode); /* JMP, CALL, RET to another segment, IRET */

/* What forms with needs of their own get: far transfers, selectors, flags. Last. */
void build_special(struct builder *builder);
