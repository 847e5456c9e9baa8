#include "vm/shown.h"

#include <stddef.h>

#include "base/buf.h"
#include "base/cleanup.h"

enum { EAX, EBX, ECX, EDX };

#define BIT(n) (1U << (n))

static const struct {
    uint32_t leaf, subleaf;
    uint8_t reg;
    const char *name;
    uint32_t ignored; /* bits that are no features */
} words[FEATURE_WORDS] = {
        /* monitor, x2APIC, deadline timer, OSXSAVE, hypervisor */
        [FEATURES_1_ECX] = {1, 0, ECX, "CPUID 1 ECX",
                BIT(3) | BIT(21) | BIT(24) | BIT(27) | BIT(31)},
        [FEATURES_1_EDX] = {1, 0, EDX, "CPUID 1 EDX", BIT(9) | BIT(28)}, /* APIC, HTT */
        [FEATURES_7_EBX] = {7, 0, EBX, "CPUID 7 EBX", BIT(9)},           /* ERMS: only speed */
        [FEATURES_7_ECX] = {7, 0, ECX, "CPUID 7 ECX", BIT(4)},           /* OSPKE */
        [FEATURES_7_EDX] = {7, 0, EDX, "CPUID 7 EDX", BIT(4)},           /* FSRM: only speed */
        [FEATURES_71_EAX] = {7, 1, EAX, "CPUID 7.1 EAX", 0},
        [FEATURES_D1_EAX] = {0xd, 1, EAX, "CPUID 13.1 EAX", 0},
        /* several CPUs; PREFETCHW, which does nothing where it is not offered */
        [FEATURES_80000001_ECX] = {0x80000001, 0, ECX, "CPUID 80000001 ECX", BIT(1) | BIT(8)},
        [FEATURES_80000001_EDX] = {0x80000001, 0, EDX, "CPUID 80000001 EDX", BIT(9)},
        [FEATURES_80000008_EBX] = {0x80000008, 0, EBX, "CPUID 80000008 EBX", 0},
        [FEATURES_KVM_EAX] = {0x40000001, 0, EAX, "CPUID 40000001 EAX", 0},
};

/* Those that people know by name, for messages. */
static const struct {
    enum feature_word word;
    unsigned bit;
    const char *name;
} names[] = {
        {FEATURES_1_ECX, 0, "sse3"},
        {FEATURES_1_ECX, 1, "pclmulqdq"},
        {FEATURES_1_ECX, 9, "ssse3"},
        {FEATURES_1_ECX, 12, "fma"},
        {FEATURES_1_ECX, 13, "cx16"},
        {FEATURES_1_ECX, 19, "sse4.1"},
        {FEATURES_1_ECX, 20, "sse4.2"},
        {FEATURES_1_ECX, 22, "movbe"},
        {FEATURES_1_ECX, 23, "popcnt"},
        {FEATURES_1_ECX, 25, "aes"},
        {FEATURES_1_ECX, 26, "xsave"},
        {FEATURES_1_ECX, 28, "avx"},
        {FEATURES_1_ECX, 29, "f16c"},
        {FEATURES_1_ECX, 30, "rdrand"},
        {FEATURES_7_EBX, 0, "fsgsbase"},
        {FEATURES_7_EBX, 3, "bmi1"},
        {FEATURES_7_EBX, 5, "avx2"},
        {FEATURES_7_EBX, 7, "smep"},
        {FEATURES_7_EBX, 8, "bmi2"},
        {FEATURES_7_EBX, 16, "avx512f"},
        {FEATURES_7_EBX, 18, "rdseed"},
        {FEATURES_7_EBX, 19, "adx"},
        {FEATURES_7_EBX, 20, "smap"},
        {FEATURES_7_EBX, 29, "sha"},
        {FEATURES_7_ECX, 2, "umip"},
        {FEATURES_7_ECX, 3, "pku"},
        {FEATURES_7_ECX, 16, "la57"},
        {FEATURES_80000001_ECX, 2, "svm"},
        {FEATURES_80000001_ECX, 5, "lzcnt"},
        {FEATURES_80000001_EDX, 26, "1 GiB pages"},
        {FEATURES_80000001_EDX, 27, "rdtscp"},
};

static bool is_word(enum feature_word word, uint32_t leaf, uint32_t subleaf)
{
    return words[word].leaf == leaf && words[word].subleaf == subleaf;
}

void features_take(
        struct features *features, uint32_t leaf, uint32_t subleaf, const uint32_t regs[4])
{
    for (enum feature_word i = 0; i < FEATURE_WORDS; i++)
        if (is_word(i, leaf, subleaf))
            features->word[i] = regs[words[i].reg] & ~words[i].ignored;
}

void features_mask(
        const struct features *features, uint32_t leaf, uint32_t subleaf, uint32_t regs[4])
{
    for (enum feature_word i = 0; i < FEATURE_WORDS; i++)
        if (is_word(i, leaf, subleaf))
            regs[words[i].reg] &= features->word[i] | words[i].ignored;
}

struct features features_common(const struct features *a, const struct features *b)
{
    struct features common;

    for (enum feature_word i = 0; i < FEATURE_WORDS; i++)
        common.word[i] = a->word[i] & b->word[i];
    return common;
}

/* Known ones by name, others by register. */
static void name_missing(struct buf *text, enum feature_word word, uint32_t bits)
{
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        if (names[i].word != word || !(bits & BIT(names[i].bit)))
            continue;
        buf_printf(text, "%s%s", text->length ? ", " : "", names[i].name);
        bits &= ~BIT(names[i].bit);
    }
    if (bits)
        buf_printf(text, "%sbits 0x%x of %s", text->length ? ", " : "", bits, words[word].name);
}

int features_check(const struct features *wanted, const struct features *offered, struct error *err)
{
    _cleanup_buf_ struct buf text = {.max = 1024};

    for (enum feature_word i = 0; i < FEATURE_WORDS; i++) {
        uint32_t missing = wanted->word[i] & ~offered->word[i];
        if (missing)
            name_missing(&text, i, missing);
    }
    if (text.length == 0)
        return 0;
    return error_set(
            err, EOPNOTSUPP, "the guest uses CPU features that are not here: %s", buf_text(&text));
}
