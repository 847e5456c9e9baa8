/*
 * The CPU features that a guest is shown, as the CPUID registers that name them. A snapshot keeps
 * them, and a machine goes on only where all of them are there: what a guest once found, it uses.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

enum feature_word {
    FEATURES_1_ECX,
    FEATURES_1_EDX,
    FEATURES_7_EBX,
    FEATURES_7_ECX,
    FEATURES_7_EDX,
    FEATURES_71_EAX, /* leaf 7, subleaf 1 */
    FEATURES_D1_EAX, /* leaf 13, subleaf 1 */
    FEATURES_80000001_ECX,
    FEATURES_80000001_EDX,
    FEATURES_80000008_EBX,
    FEATURES_KVM_EAX, /* leaf 0x40000001: what a hypervisor does for its guests */
    FEATURE_WORDS
};

struct features {
    uint32_t word[FEATURE_WORDS];
};

/* Takes the words of one leaf in, or cuts what a guest is shown of one leaf down to the features.
 * Bits that say how a vCPU stands or what the machine offers (OSXSAVE, APIC, hypervisor, several
 * CPUs …) are no features: they are left out and left alone. regs: eax ebx ecx edx. */
void features_take(
        struct features *features, uint32_t leaf, uint32_t subleaf, const uint32_t regs[4]);
void features_mask(
        const struct features *features, uint32_t leaf, uint32_t subleaf, uint32_t regs[4]);

/* What both have. */
struct features features_common(const struct features *a, const struct features *b);

/* 0 when `offered` has all that is wanted; -EOPNOTSUPP and a text that names some of what is
 * missing. */
int features_check(
        const struct features *wanted, const struct features *offered, struct error *err);
