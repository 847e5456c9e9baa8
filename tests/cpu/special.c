#include <string.h>

#include "build.h"
#include "segments.h"

static bool is_named(const struct opcode *opcode, const char *name)
{
    return strcmp(opcode->name, name) == 0;
}

bool build_is_far(const struct opcode *opcode)
{
    return is_named(opcode, "callf") || is_named(opcode, "jmpf") || is_named(opcode, "retf") ||
           is_named(opcode, "iret");
}

/* Bytes of the operation's operands, as the decoder has them. */
static unsigned operand_bytes(const struct test_case *test)
{
    struct decoded decoded;
    struct op op;
    cpu_decode(test->code, 15, build_mode(test), &op, &decoded);
    return 1u << op.size;
}

/* ------------------------------------------------------------------ far transfers */

struct far_place {
    uint16_t selector;
    uint64_t offset;
};

/* Nearly always the second landing pad; else a selector that is refused, or a good one with an
 * offset outside of its segment. */
static struct far_place far_place(struct builder *builder, unsigned bytes)
{
    struct random *random = builder->random;
    struct test_case *test = builder->test;
    struct far_target target = segments_code(random, bytes == 2);
    uint64_t pad = CODE_AT + test->length + PAD_BYTES;
    if (chance(random, 4))
        return (struct far_place){segments_no_code(random), edge_integer(random)};
    if (chance(random, 12) && bytes >= 4)
        return (struct far_place){LOCAL_CODE_32, 0x10000 + below(random, 0x10000)};
    if (chance(random, 12) && bytes == 8)
        return (struct far_place){CODE_64, 0x8000000000000000 | pad};
    /* CALL from elsewhere into 64-bit code: Intel's push without the stack's base already, AMD's
     * with it (APM vol. 3, CALL) */
    if (is_named(builder->opcode, "callf") && target.bits == 64 &&
            segments_base(test->in.segment[CPU_SS]))
        target = (struct far_target){LOCAL_CODE_32, 32};
    if (is_named(builder->opcode, "callf") && target.bits != 64) /* as with the base: its width */
        test->in.gpr[CPU_RSP] = (uint32_t)test->in.gpr[CPU_RSP];
    test->landing = target.bits;
    if (chance(random, 4)) /* the level asked for: not the descriptor's */
        target.selector &= 0xfffc;
    return (struct far_place){target.selector, pad - segments_base(target.selector)};
}

static void put_word(struct test_case *test, uint64_t linear, uint64_t value, unsigned bytes)
{
    memcpy(test->window + (linear - MIDDLE_AT), &value, bytes);
}

static void far_by_memory(struct builder *builder)
{
    uint64_t at = MIDDLE_AT + 64 + below(builder->random, 16);
    build_by_rsi(builder, at);
    unsigned bytes = operand_bytes(builder->test);
    struct far_place place = far_place(builder, bytes);
    put_word(builder->test, at, place.offset, bytes);
    put_word(builder->test, at + bytes, place.selector, 2);
}

/* RET and IRET: what they pop; at times from memory that is not there. */
static void far_by_stack(struct builder *builder)
{
    struct test_case *test = builder->test;
    struct random *random = builder->random;
    unsigned bytes = operand_bytes(test);
    uint64_t at = MIDDLE_AT + 64 + below(random, 16) * 2;
    uint64_t base = test->bits == 64 ? 0 : segments_base(test->in.segment[CPU_SS]);
    struct far_place place = far_place(builder, bytes);
    uint64_t flags = random_next(random) & ~(uint64_t)(FLAG_TF | FLAG_NT | FLAG_AC);
    bool back = is_named(builder->opcode, "iret");
    uint64_t words[] = {place.offset, place.selector, flags, MIDDLE_AT + below(random, 256),
            chance(random, 4) ? segments_any(random) : FLAT_DATA};
    for (unsigned i = 0; i < (back ? 5 : 2); i++)
        put_word(test, at + i * bytes, words[i], bytes);
    test->in.gpr[CPU_RSP] = (chance(random, 16) ? HOLE_AT + 64 : at) - base;
}

static void far_by_immediate(struct builder *builder)
{
    struct test_case *test = builder->test;
    unsigned bytes = operand_bytes(test);
    struct far_place place = far_place(builder, bytes);
    memcpy(test->code + test->length - bytes - 2, &place.offset, bytes);
    memcpy(test->code + test->length - 2, &place.selector, 2);
}

/* ------------------------------------------------------------------ selectors, flags, bases */

static bool takes_selector(const struct opcode *opcode)
{
    static const char *const names[] = {"pop", "lds", "les", "lss", "lfs", "lgs", "lar", "lsl",
            "verr", "verw", "arpl", "lldt", "ltr"};
    if (opcode->map == MAP_1 && opcode->code == 0x8e)
        return true;
    if (is_named(opcode, "pop") && opcode->form != FORM_NONE)
        return false;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (is_named(opcode, names[i]))
            return true;
    return false;
}

static void give_selectors(struct builder *builder)
{
    struct test_case *test = builder->test;
    for (unsigned i = 0; i < WINDOW_BYTES; i += 2) {
        uint16_t selector = segments_any(builder->random);
        memcpy(test->window + i, &selector, 2);
    }
    if (builder->mem)
        return;
    for (unsigned i = 0; i < CPU_REGS; i++)
        if (i != CPU_RSP)
            test->in.gpr[i] = (test->in.gpr[i] & ~0xffffull) | segments_any(builder->random);
}

/* No single step, nested task or alignment checks: they are not over with the instruction. */
static void give_flags(struct builder *builder)
{
    struct test_case *test = builder->test;
    uint64_t base = test->bits == 64 ? 0 : segments_base(test->in.segment[CPU_SS]);
    for (unsigned i = 0; i < WINDOW_BYTES; i += 2) {
        uint16_t flags = (uint16_t)random_next(builder->random) & (uint16_t) ~(FLAG_TF | FLAG_NT);
        flags &= (uint16_t) ~(FLAG_AC >> 16);
        memcpy(test->window + i, &flags, 2);
    }
    test->in.gpr[CPU_RSP] = MIDDLE_AT + below(builder->random, MIDDLE_BYTES / 8) * 8 - base;
}

void build_special(struct builder *builder)
{
    const struct opcode *opcode = builder->opcode;
    if (build_is_far(opcode)) {
        if (builder->mem)
            far_by_memory(builder);
        else if (opcode->form == FORM_FAR)
            far_by_immediate(builder);
        else
            far_by_stack(builder);
    } else if (takes_selector(opcode)) {
        give_selectors(builder);
    } else if (is_named(opcode, "popf")) {
        give_flags(builder);
    }
}
