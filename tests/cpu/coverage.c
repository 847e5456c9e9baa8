#include "coverage.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "build.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

const char *coverage_reason(const struct opcode *opcode)
{
    static const struct {
        const char *name, *reason;
    } list[] = {
            {"syscall", "enters the host's kernel: tests/cpu/privileged.py"},
            {"sysenter", "enters the host's kernel: tests/cpu/privileged.py"},
            {"sgdt", "answered by the host's kernel where there is UMIP: tests/cpu/privileged.py"},
            {"sidt", "as sgdt"},
            {"sldt", "as sgdt"},
            {"str", "as sgdt"},
            {"smsw", "as sgdt"},
    };
    for (size_t i = 0; i < COUNT(list); i++)
        if (strcmp(opcode->name, list[i].name) == 0)
            return list[i].reason;
    return NULL;
}

/* ------------------------------------------------------------------ variants of a form */

/* By the code's bits, the operand size, register or memory, and LOCK or a repetition. */
enum { PLAIN, LOCK_OR_F3, WITH_F2, PREFIXED };
struct variants {
    bool of[3][4][2][PREFIXED];
};

struct coverage {
    const struct opcode *opcode;
    struct variants accepted, generated;
};

#define FORMS_MAX 2048u
static struct coverage forms[FORMS_MAX];
static size_t form_count;

static int by_address(const void *a, const void *b)
{
    const struct opcode *x = ((const struct coverage *)a)->opcode;
    const struct opcode *y = ((const struct coverage *)b)->opcode;
    return (x > y) - (x < y);
}

static bool *variant(
        struct coverage *form, struct variants *of, enum cpu_mode mode, const struct op *op)
{
    unsigned prefix = op->flags & OP_LOCK ? LOCK_OR_F3 : PLAIN;
    if (form->opcode->attr & AT_REP)
        prefix = op->flags & OP_REPNE ? WITH_F2 : op->flags & OP_REP ? LOCK_OR_F3 : PLAIN;
    return &of->of[mode][op->size][op->bytes != 0][prefix];
}

static struct coverage *form_of(const struct opcode *opcode)
{
    struct coverage key = {.opcode = opcode};
    return bsearch(&key, forms, form_count, sizeof(forms[0]), by_address);
}

/* ------------------------------------------------------------------ what is accepted */

static void accept(enum cpu_mode mode, const uint8_t *bytes)
{
    struct decoded decoded;
    struct op op;
    if (!cpu_decode(bytes, 15, mode, &op, &decoded) || !decoded.opcode)
        return;
    struct coverage *form = form_of(decoded.opcode);
    *variant(form, &form->accepted, mode, &op) = true;
}

/* All ModRM bytes of registers, and each of memory once. */
static void accept_code(
        enum cpu_mode mode, const uint8_t *prefixes, unsigned count, unsigned map, unsigned code)
{
    static const uint8_t escape[] = {0, 0x0f, 0x38, 0x3a};
    uint8_t bytes[15] = {0};
    memcpy(bytes, prefixes, count);
    if (map != MAP_1)
        bytes[count++] = 0x0f;
    if (map > MAP_0F)
        bytes[count++] = escape[map];
    bytes[count++] = (uint8_t)code;
    for (unsigned modrm = 0xc0; modrm < 0x100; modrm++) {
        bytes[count] = (uint8_t)modrm;
        accept(mode, bytes);
    }
    for (unsigned reg = 0; reg < 8; reg++) {
        bytes[count] = (uint8_t)(reg << 3 | 7);
        accept(mode, bytes);
    }
}

static void accept_prefixes(enum cpu_mode mode, const uint8_t *prefixes, unsigned count)
{
    for (unsigned map = 0; map < MAP_COUNT; map++)
        for (unsigned code = 0; code < 256; code++)
            accept_code(mode, prefixes, count, map, code);
}

static void accept_mode(enum cpu_mode mode)
{
    static const uint8_t repeats[] = {0, 0xf0, 0xf2, 0xf3};
    uint8_t prefixes[3];
    for (unsigned choice = 0; choice < 16; choice++) {
        unsigned count = 0;
        if (choice & 1)
            prefixes[count++] = 0x66;
        if (repeats[choice >> 1 & 3])
            prefixes[count++] = repeats[choice >> 1 & 3];
        if (choice & 8)
            prefixes[count++] = 0x48; /* REX.W */
        if (mode == MODE_64 || !(choice & 8))
            accept_prefixes(mode, prefixes, count);
    }
}

static void find_accepted(void)
{
    for (size_t m = 0; m < cpu_module_count; m++)
        for (size_t i = 0; i < cpu_modules[m]->count && form_count < FORMS_MAX; i++)
            forms[form_count++].opcode = &cpu_modules[m]->list[i];
    qsort(forms, form_count, sizeof(forms[0]), by_address);
    for (enum cpu_mode mode = MODE_16; mode <= MODE_64; mode++)
        accept_mode(mode);
}

/* ------------------------------------------------------------------ what was generated */

void coverage_note(const struct test_case *test)
{
    enum cpu_mode mode = build_mode(test);
    struct decoded decoded;
    struct op op;
    if (!form_count)
        find_accepted();
    if (!cpu_decode(test->code, 15, mode, &op, &decoded) || !decoded.opcode)
        return;
    struct coverage *form = form_of(decoded.opcode);
    *variant(form, &form->generated, mode, &op) = true;
}

struct tally {
    unsigned forms, accepted, generated, reasoned, missing;
};

static void show_missing(
        const struct coverage *form, unsigned mode, unsigned size, unsigned memory, unsigned prefix)
{
    static const char *const maps[] = {"", "0f ", "0f 38 ", "0f 3a "};
    static const char *const with[] = {"", ", lock or f3", ", f2"};
    printf("NOT GENERATED: %s (%s%02x) in %u-bit code, operand of %u bytes, %s%s\n",
            form->opcode->name, maps[form->opcode->map], form->opcode->code, 16u << mode,
            1u << size, memory ? "memory" : "registers", with[prefix]);
}

static void count_variants(struct coverage *form, unsigned mode, struct tally *tally)
{
    bool any = false;
    for (unsigned i = 0; i < 4 * 2 * PREFIXED; i++) {
        unsigned size = i / (2 * PREFIXED), memory = i / PREFIXED % 2, prefix = i % PREFIXED;
        if (!form->accepted.of[mode][size][memory][prefix])
            continue;
        any = true;
        tally->accepted++;
        if (form->generated.of[mode][size][memory][prefix])
            tally->generated++;
        else if (coverage_reason(form->opcode))
            tally->reasoned++;
        else
            tally->missing++, show_missing(form, mode, size, memory, prefix);
    }
    tally->forms += any;
}

static void print_reasons(void)
{
    const char *last = "";
    for (size_t i = 0; i < form_count; i++) {
        const char *name = forms[i].opcode->name, *reason = coverage_reason(forms[i].opcode);
        if (reason && strcmp(name, last) != 0)
            printf("    %-9s %s\n", name, reason);
        if (reason)
            last = name;
    }
}

bool coverage_print(void)
{
    unsigned missing = 0;
    printf("%-12s %6s %9s %10s %12s %8s\n", "code", "forms", "variants", "generated", "elsewhere",
            "missing");
    for (unsigned mode = 0; mode < 3; mode++) {
        struct tally tally = {0};
        for (size_t i = 0; i < form_count; i++)
            count_variants(&forms[i], mode, &tally);
        printf("%u-bit %13u %9u %10u %12u %8u\n", 16u << mode, tally.forms, tally.accepted,
                tally.generated, tally.reasoned, tally.missing);
        missing += tally.missing;
    }
    printf("elsewhere, with the reason:\n");
    print_reasons();
    return missing == 0;
}
