#include "choices.h"

#include <string.h>

/* Vectors of what is wrong with an address. */
#define STACK_FAULT 12
#define GENERAL_PROTECTION 13
#define PAGE_FAULT 14
#define FLAGS_SEEN UINT64_C(0xcd5) /* arithmetic and direction */
#define FLAG_CARRY UINT64_C(1)
#define FLAG_ADJUST UINT64_C(0x10)
#define FLAG_OVERFLOW UINT64_C(0x800)
#define FLAGS_ARITHMETIC UINT64_C(0x8d5)
#define X87_UNMASKED 0x80 /* the status word's error summary */
#define OPERAND_SIZE 0x66
#define ADDRESS_SIZE 0x67

static bool is_one_of(const char *name, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return false;
}
#define NAMED(test, ...)                                                                           \
    is_one_of((test)->name, (const char *const[]){__VA_ARGS__},                                    \
            sizeof((const char *const[]){__VA_ARGS__}) / sizeof(const char *))

static bool is_address_fault(int trap)
{
    return trap == STACK_FAULT || trap == GENERAL_PROTECTION || trap == PAGE_FAULT;
}

static bool is_prefix(uint8_t byte)
{
    return memchr("\x66\x67\xf0\xf2\xf3\x2e\x36\x3e\x26\x64\x65", byte, 11) ||
           (byte & 0xf0) == 0x40;
}

static unsigned opcode_at(const struct test_case *test)
{
    unsigned at = 0;
    while (at + 1 < test->length && is_prefix(test->code[at]))
        at++;
    return at;
}

static bool has_prefix(const struct test_case *test, uint8_t prefix)
{
    return memchr(test->code, prefix, opcode_at(test)) != NULL;
}

/* A rotation by one defines the overflow flag, one by more does not (SDM vol. 2, RCL/RCR/ROL/ROR;
 * APM vol. 3, ROL). The count is the last byte, CL, or 1. */
static bool is_long_rotation(const struct test_case *test)
{
    uint8_t opcode = test->code[opcode_at(test)];
    unsigned count = 1;

    if (!NAMED(test, "rol", "ror", "rcl", "rcr"))
        return false;
    if ((opcode & 0xfe) == 0xc0)
        count = test->code[test->length - 1];
    else if ((opcode & 0xfe) == 0xd2)
        count = (unsigned)test->in.gpr[1];
    return (count & 0x3f) > 1;
}

/* What decimal instructions leave undefined (SDM vol. 2). */
static uint64_t undefined_flags(const struct test_case *test)
{
    if (NAMED(test, "aaa", "aas"))
        return FLAGS_ARITHMETIC & ~(FLAG_ADJUST | FLAG_CARRY);
    if (NAMED(test, "aad", "aam"))
        return FLAG_OVERFLOW | FLAG_ADJUST | FLAG_CARRY;
    return NAMED(test, "daa", "das") ? FLAG_OVERFLOW : 0;
}

uint64_t choices_flags(const struct test_case *test, const struct result *native)
{
    if (is_long_rotation(test))
        return FLAGS_SEEN & ~FLAG_OVERFLOW;
    /* Intel's put back the flags from before the repetition (SDM vol. 2, REP), AMD's keep those of
     * the last comparison; the one that is repeated sets them all. */
    if (native->trap == PAGE_FAULT && NAMED(test, "cmps", "scas"))
        return FLAGS_SEEN & ~FLAGS_ARITHMETIC;
    return FLAGS_SEEN & ~undefined_flags(test);
}

bool choices_long_operand(const struct test_case *test)
{
    return NAMED(test, "fldenv", "fnstenv", "frstor", "fnsave", "fxsave", "fxrstor", "enter",
            "maskmovdqu", "fstp", "fbstp");
}

bool choices_trap(
        const struct test_case *test, const struct result *native, const struct result *ours)
{
    /* A store whose unmasked exception keeps it from storing need not look at its operand. */
    bool no_store = NAMED(test, "fst", "fstp", "fist", "fistp", "fisttp", "fbstp") &&
                    (native->out.fx[2] & X87_UNMASKED);
    /* "MOVSXD r16, r/m16" reads two bytes on Intel's, four on AMD's. */
    bool narrow = NAMED(test, "movsxd") && has_prefix(test, OPERAND_SIZE);
    bool one_faulted = (native->trap == NO_TRAP && is_address_fault(ours->trap)) ||
                       (is_address_fault(native->trap) && ours->trap == NO_TRAP);

    return one_faulted && (no_store || narrow);
}

bool choices_mmx_state(const struct test_case *test, const struct result *native)
{
    return is_address_fault(native->trap) && NAMED(test, "movd", "movq", "movntq");
}

bool choices_registers(const struct test_case *test, const struct result *native)
{
    return native->trap == PAGE_FAULT &&
           NAMED(test, "popa"); /* those that it has come to, or none */
}

uint64_t choices_string_registers(const struct test_case *test)
{
    /* Nothing to repeat: Intel's cut the 64-bit registers down to the address size all the same. */
    bool nothing = (uint32_t)test->in.gpr[1] == 0 && has_prefix(test, ADDRESS_SIZE) &&
                   NAMED(test, "movs", "cmps", "stos", "lods", "scas");

    return nothing ? UINT32_MAX : UINT64_MAX;
}
