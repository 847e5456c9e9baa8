/*
 * The decoder against Zydis: random bytes, with real prefixes and opcode maps made likely, in all
 * three modes. What we decode Zydis must know, with the same length; what only Zydis knows must
 * belong to an extension that CPUID does not tell of.
 *
 * Usage: cpu-zydis [--seed N] [--cases N]
 */
#include <Zydis/Zydis.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "cpu/decode.h"

#define SHOWN_MAX 30u

static uint64_t state;
static unsigned long differences;

static uint64_t next(void)
{
    uint64_t x = state += 0x9e3779b97f4a7c15ull;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
    return x ^ (x >> 31);
}

/* Instruction sets whose every instruction we must decode. */
static bool must_know(const ZydisDecodedInstruction *insn)
{
    static const char *const sets[] = {"I86", "I186", "I286REAL", "I286PROTECTED", "I386", "I486",
            "I486REAL", "PENTIUMREAL", "PENTIUMMMX", "PPRO", "FAT_NOP", "CMOV", "FCMOV", "SSE",
            "SSE2", "SSE3", "SSE3X87", "SSSE3", "SSE4", "SSE42", "SSE_PREFETCH", "SSEMXCSR",
            "SSE2MMX", "SSSE3MMX", "X87", "LONGMODE", "CMPXCHG16B", "FXSAVE", "FXSAVE64", "POPCNT",
            "MOVBE", "LAHF", "RDTSCP", "RDRAND", "RDWRFSGS", "SMAP", "PAUSE", "CLFSH",
            "PPRO_UD0_SHORT"};
    const char *name = ZydisISASetGetString(insn->meta.isa_set);
    for (size_t i = 0; i < sizeof(sets) / sizeof(sets[0]); i++)
        if (name && strcmp(name, sets[i]) == 0)
            return true;
    return false;
}

/* What exists but is deliberately left out: system management, performance counters of old kinds.
 */
static bool is_left_out(const ZydisDecodedInstruction *insn)
{
    return insn->mnemonic == ZYDIS_MNEMONIC_RSM || insn->mnemonic == ZYDIS_MNEMONIC_GETSEC;
}

/* The place of MPX: instructions to Zydis, NOPs where there is no MPX. */
static bool is_mpx(const struct decoded *decoded)
{
    return decoded->map == MAP_0F && (decoded->code == 0x1a || decoded->code == 0x1b);
}

static void make(uint8_t *bytes)
{
    static const uint8_t prefixes[] = {0x66, 0x67, 0xf0, 0xf2, 0xf3, 0x2e, 0x36, 0x3e, 0x26, 0x64,
            0x65, 0x48, 0x41, 0x44, 0x4f};
    unsigned at = 0;
    for (unsigned i = 0; i < 16; i += 8) {
        uint64_t word = next();
        memcpy(bytes + i, &word, 8);
    }
    for (uint64_t count = next() % 4 ? next() % 3 : next() % 8; count > 0; count--)
        bytes[at++] = prefixes[next() % sizeof(prefixes)];
    if (next() % 2)
        bytes[at++] = 0x0f;
    if (at && bytes[at - 1] == 0x0f && next() % 4 == 0)
        bytes[at] = next() % 2 ? 0x38 : 0x3a;
}

static void report(const char *what, enum cpu_mode mode, const uint8_t *bytes, unsigned ours,
        const char *our_name, unsigned theirs, const char *their_name)
{
    static const int bits[] = {16, 32, 64};
    if (++differences > SHOWN_MAX)
        return;
    printf("DIFFERENT %d-bit (%s):", bits[mode], what);
    for (unsigned i = 0; i < 15; i++)
        printf(" %02x", bytes[i]);
    printf("  ours %u %s, Zydis %u %s\n", ours, our_name ? our_name : "-", theirs, their_name);
}

static void check(const ZydisDecoder *decoder, enum cpu_mode mode, const uint8_t *bytes)
{
    ZydisDecodedInstruction insn;
    ZydisDecoderContext context;
    struct decoded decoded;
    struct op op;
    unsigned length = cpu_decode(bytes, 15, mode, &op, &decoded);
    bool known = ZYAN_SUCCESS(ZydisDecoderDecodeInstruction(decoder, &context, bytes, 15, &insn));
    const char *theirs = known ? ZydisMnemonicGetString(insn.mnemonic) : "-";
    if (is_mpx(&decoded))
        return;
    if (decoded.opcode && !known)
        report("only ours", mode, bytes, length, decoded.opcode->name, 0, "-");
    else if (decoded.opcode && insn.length != length)
        report("length", mode, bytes, length, decoded.opcode->name, insn.length, theirs);
    else if (!decoded.opcode && known && must_know(&insn) && !is_left_out(&insn))
        report(ZydisISASetGetString(insn.meta.isa_set), mode, bytes, length, NULL, insn.length,
                theirs);
}

int main(int argc, char **argv)
{
    uint64_t cases = 3000000;
    ZydisDecoder decoders[3];
    if (getrandom(&state, sizeof(state), 0) != (ssize_t)sizeof(state))
        return 2;
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--seed") == 0)
            state = strtoull(argv[i + 1], NULL, 0);
        else if (strcmp(argv[i], "--cases") == 0)
            cases = strtoull(argv[i + 1], NULL, 0);
    }
    printf("seed 0x%" PRIx64 "\n", state);
    ZydisDecoderInit(&decoders[0], ZYDIS_MACHINE_MODE_LEGACY_16, ZYDIS_STACK_WIDTH_16);
    ZydisDecoderInit(&decoders[1], ZYDIS_MACHINE_MODE_LEGACY_32, ZYDIS_STACK_WIDTH_32);
    ZydisDecoderInit(&decoders[2], ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
    for (uint64_t i = 0; i < cases; i++) {
        uint8_t bytes[16];
        make(bytes);
        enum cpu_mode mode = i % 4 < 2 ? MODE_64 : i % 4 == 2 ? MODE_32 : MODE_16;
        check(&decoders[mode], mode, bytes);
    }
    printf("%" PRIu64 " cases, %lu different\n", cases, differences);
    return differences ? 1 : 0;
}
