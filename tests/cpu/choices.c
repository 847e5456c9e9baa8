#include "choices.h"

#include <string.h>

#include "build.h"

/* Vectors of what is wrong with an instruction or its address. */
#define UNDEFINED_OPCODE 6
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

static struct op operation(const struct test_case *test)
{
    struct decoded decoded;
    struct op op;
    cpu_decode(test->code, 15, build_mode(test), &op, &decoded);
    return op;
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
    if (is_address_fault(native->trap) && NAMED(test, "cmps", "scas"))
        return FLAGS_SEEN & ~FLAGS_ARITHMETIC;
    return FLAGS_SEEN & ~undefined_flags(test);
}

bool choices_long_operand(const struct test_case *test)
{
    return NAMED(test, "fldenv", "fnstenv", "frstor", "fnsave", "fxsave", "fxrstor", "enter",
            "maskmovdqu", "fstp", "fbstp", "callf", "retf", "iret");
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

    /* SYSRET is Intel's for 64-bit code only (SDM vol. 2, SYSRET); AMD's looks at the level there.
     */
    bool sysret = NAMED(test, "sysret") && test->bits != 64 && native->trap == UNDEFINED_OPCODE &&
                  ours->trap == GENERAL_PROTECTION;
    /* An operand that is misaligned and outside of the stack's segment: either is told. */
    bool either = test->bits != 64 && native->trap == GENERAL_PROTECTION &&
                  ours->trap == STACK_FAULT && operation(test).bytes == 16;

    /* CALL to beyond the limit: whether that or a stack that is not there is seen first. */
    bool call = NAMED(test, "callf") && is_address_fault(native->trap) &&
                ours->trap == GENERAL_PROTECTION && ours->error == 0;

    return (one_faulted && (no_store || narrow)) || sysret || either || call;
}

bool choices_mmx_state(const struct test_case *test, const struct result *native)
{
    return is_address_fault(native->trap) && NAMED(test, "movd", "movq", "movntq");
}

bool choices_registers(const struct test_case *test, const struct result *native)
{
    return is_address_fault(native->trap) &&
           NAMED(test, "popa"); /* those that it has come to, or none */
}

uint64_t choices_string_registers(const struct test_case *test, const struct result *native)
{
    /* A repetition whose first turn is not done, since the count is 0 or for a fault: Intel's cut
     * the 64-bit registers down to the address size all the same, the count always, the addresses
     * as the instruction and its operands' place have it. */
    bool none_done = (uint32_t)test->in.gpr[1] == 0 || is_address_fault(native->trap);
    bool repeated = has_prefix(test, 0xf2) || has_prefix(test, 0xf3);
    bool cut = test->bits == 64 && has_prefix(test, ADDRESS_SIZE) && repeated && none_done &&
               NAMED(test, "movs", "cmps", "stos", "lods", "scas", "ins", "outs");

    return cut ? UINT32_MAX : UINT64_MAX;
}

static bool tells_of_host(const struct test_case *test, unsigned reg)
{
    if (NAMED(test, "cpuid"))
        return reg < 4;
    if (NAMED(test, "rdtsc", "rdtscp"))
        return reg == 0 || reg == 2 || (reg == 1 && NAMED(test, "rdtscp"));
    return NAMED(test, "rdrand") && reg == operation(test).rm / 8u;
}

uint64_t choices_general(const struct test_case *test, unsigned reg)
{
    /* On the way into 64-bit code the upper halves are whatever they were; the host's kernel
     * returns to 16-bit stacks with its own (arch/x86/entry, espfix). */
    bool upper = test->bits == 64 && test->landing == 64;
    if (tells_of_host(test, reg))
        return NAMED(test, "rdrand") ? 0 : UINT64_MAX << 32;
    return upper || reg != 4 ? UINT64_MAX : UINT32_MAX;
}

/* PUSH of a segment register: a word on Intel's, the whole operand on AMD's (SDM vol. 2, PUSH). */
bool choices_byte(const struct test_case *test, const struct result *native,
        const struct result *ours, unsigned at)
{
    uint8_t code = test->code[test->length - 1];
    bool segment = code == 0xa0 || code == 0xa8 || (code & 0xe7) == 6; /* of FS, GS; of ES to DS */
    return NAMED(test, "push") && segment && native->window[at] == test->window[at] &&
           ours->window[at] == 0;
}

/* Null selectors are made 0 on the way back from the kernel (SDM vol. 2, IRET), which an interrupt
 * may have brought there. */
bool choices_segment(const struct result *native, const struct result *ours, unsigned segment)
{
    return native->out.segment[segment] == 0 && ours->out.segment[segment] <= 3;
}

/* A null selector takes the base away on Intel's and leaves it on AMD's (APM vol. 2, 4.5.3). */
bool choices_base(const struct test_case *test, const struct result *native, unsigned number)
{
    return native->out.segment[4 + number] <= 3 && NAMED(test, "mov", "pop", "lfs", "lgs") &&
           native->out.base[number] == test->in.base[number];
}

bool choices_gate(
        const struct test_case *test, const struct result *native, const struct result *ours)
{
    return NAMED(test, "int") && native->trap == GENERAL_PROTECTION &&
           native->error == (uint32_t)ours->trap * 8 + 2;
}
