#include "cpu/flags.h"
#include "cpu/handler.h"

typedef unsigned __int128 u128;

/* ------------------------------------------------------------------ multiplication */

/* MUL and IMUL with one operand: rdx:rax. SF, ZF, AF and PF are undefined; this silicon keeps them,
 * so flags go in. The product's low half is saved before LAHF. */
#define WIDE_ASM(insn)                                                                             \
    FLAGS_IN "movq %[low], %%rax\n\t" insn " %[b]\n\tmovq %%rax, %[low]" FLAGS_OUT
#define WIDE(name, insn, T, bits)                                                                  \
    static inline void name##_##bits(struct cpu *cpu, T b)                                         \
    {                                                                                              \
        uint64_t ax = cpu->raw, high, low = REG(T, CPU_RAX * 8);                                   \
        __asm__ volatile(WIDE_ASM(insn)                                                            \
                         : "+&a"(ax), "=&d"(high), [low] "+&r"(low)                                \
                         : [b] "r"(b)                                                              \
                         : "cc");                                                                  \
        cpu->raw = (uint16_t)ax;                                                                   \
        SET_REG(T, CPU_RAX * 8, low);                                                              \
        SET_REG(T, CPU_RDX * 8, high);                                                             \
    }
/* 8 bits: AX is the product. */
#define WIDE_8(name, insn)                                                                         \
    static inline void name##_8(struct cpu *cpu, uint8_t b)                                        \
    {                                                                                              \
        uint64_t ax = cpu->raw, low = REG8(cpu, CPU_RAX * 8);                                      \
        __asm__ volatile(WIDE_ASM(insn) : "+&a"(ax), [low] "+&r"(low) : [b] "r"(b) : "cc");        \
        cpu->raw = (uint16_t)ax;                                                                   \
        REG16(cpu, CPU_RAX * 8) = (uint16_t)low;                                                   \
    }

WIDE_8(mul, "mulb")
WIDE(mul, "mulw", uint16_t, 16)
WIDE(mul, "mull", uint32_t, 32)
WIDE(mul, "mulq", uint64_t, 64)
WIDE_8(imul, "imulb")
WIDE(imul, "imulw", uint16_t, 16)
WIDE(imul, "imull", uint32_t, 32)
WIDE(imul, "imulq", uint64_t, 64)

/* ------------------------------------------------------------------ division */

/* The host would trap where the quotient does not fit: #DE comes first. Flags are undefined; they
 * are taken from the host like all others. */
static void div_check(struct cpu *cpu, const struct op *op, bool ok)
{
    if (likely(ok))
        return;
    cpu->op = op;
    cpu_fault(cpu, VEC_DE);
}

#define DIV_ASM(insn) FLAGS_IN "movq %[low], %%rax\n\t" insn " %[b]\n\tmovq %%rax, %[low]" FLAGS_OUT

#define DIV_8(name, insn)                                                                          \
    static void name##_host_8(struct cpu *cpu, uint8_t b)                                          \
    {                                                                                              \
        uint64_t ax = cpu->raw, low = REG16(cpu, CPU_RAX * 8);                                     \
        __asm__(DIV_ASM(insn) : "+&a"(ax), [low] "+&r"(low) : [b] "r"(b) : "cc");                  \
        cpu->raw = (uint16_t)ax;                                                                   \
        REG16(cpu, CPU_RAX * 8) = (uint16_t)low;                                                   \
    }
#define DIV_HOST(name, insn, T, bits)                                                              \
    static void name##_host_##bits(struct cpu *cpu, T b)                                           \
    {                                                                                              \
        uint64_t ax = cpu->raw, low = REG(T, CPU_RAX * 8), high = REG(T, CPU_RDX * 8);             \
        __asm__(DIV_ASM(insn) : "+&a"(ax), "+&d"(high), [low] "+&r"(low) : [b] "r"(b) : "cc");     \
        cpu->raw = (uint16_t)ax;                                                                   \
        SET_REG(T, CPU_RAX * 8, low);                                                              \
        SET_REG(T, CPU_RDX * 8, high);                                                             \
    }
DIV_8(div, "divb")
DIV_8(idiv, "idivb")
DIV_HOST(div, "divw", uint16_t, 16)
DIV_HOST(div, "divl", uint32_t, 32)
DIV_HOST(div, "divq", uint64_t, 64)
DIV_HOST(idiv, "idivw", uint16_t, 16)
DIV_HOST(idiv, "idivl", uint32_t, 32)
DIV_HOST(idiv, "idivq", uint64_t, 64)

static void div_8(struct cpu *cpu, const struct op *op, uint8_t b)
{
    uint16_t a = REG16(cpu, CPU_RAX * 8);
    div_check(cpu, op, b && a / b <= 0xff);
    div_host_8(cpu, b);
}

static void idiv_8(struct cpu *cpu, const struct op *op, uint8_t divisor)
{
    int a = (int16_t)REG16(cpu, CPU_RAX * 8), b = (int8_t)divisor;
    div_check(cpu, op, b && a / b <= INT8_MAX && a / b >= INT8_MIN);
    idiv_host_8(cpu, divisor);
}

#define DIVIDE(bits, T, S, wide, signed_wide)                                                      \
    static void div_##bits(struct cpu *cpu, const struct op *op, T b)                              \
    {                                                                                              \
        div_check(cpu, op, b > REG(T, CPU_RDX * 8));                                               \
        div_host_##bits(cpu, b);                                                                   \
    }                                                                                              \
    static void idiv_##bits(struct cpu *cpu, const struct op *op, T divisor)                       \
    {                                                                                              \
        signed_wide a = (signed_wide)((wide)REG(T, CPU_RDX * 8) << bits | REG(T, CPU_RAX * 8));    \
        signed_wide b = (S)divisor;                                                                \
        bool lowest = a == (signed_wide)((wide)1 << (2 * bits - 1));                               \
        div_check(cpu, op, b && !(lowest && b == -1) && (S)(a / b) == a / b);                      \
        idiv_host_##bits(cpu, divisor);                                                            \
    }

DIVIDE(16, uint16_t, int16_t, uint32_t, int32_t)
DIVIDE(32, uint32_t, int32_t, uint64_t, int64_t)

static void div_64(struct cpu *cpu, const struct op *op, uint64_t b)
{
    div_check(cpu, op, b > REG64(cpu, CPU_RDX * 8));
    div_host_64(cpu, b);
}

/* Whether a signed 128-bit quotient fits in 64 bits, by the magnitudes. */
static bool idiv_fits(uint64_t high, uint64_t low, int64_t b)
{
    bool negative = (int64_t)high < 0;
    u128 a = (u128)high << 64 | low;
    u128 magnitude = negative ? (u128)0 - a : a;
    uint64_t divisor = b < 0 ? 0 - (uint64_t)b : (uint64_t)b;
    if (!divisor || (uint64_t)(magnitude >> 64) >= divisor)
        return false;
    uint64_t quotient = (uint64_t)(magnitude / divisor);
    return quotient <= (uint64_t)INT64_MAX + (negative != (b < 0));
}

static void idiv_64(struct cpu *cpu, const struct op *op, uint64_t b)
{
    div_check(cpu, op, idiv_fits(REG64(cpu, CPU_RDX * 8), REG64(cpu, CPU_RAX * 8), (int64_t)b));
    idiv_host_64(cpu, b);
}

/* ------------------------------------------------------------------ handlers */

#define MUL_HANDLERS(name, T, bits)                                                                \
    HANDLER(name##_r_##bits)                                                                       \
    {                                                                                              \
        name##_##bits(cpu, REG(T, op->rm));                                                        \
        NEXT;                                                                                      \
    }                                                                                              \
    HANDLER(name##_m_##bits)                                                                       \
    {                                                                                              \
        name##_##bits(cpu, load##bits(cpu, op, ea(cpu, op)));                                      \
        NEXT;                                                                                      \
    }
#define DIV_HANDLERS(name, T, bits)                                                                \
    HANDLER(name##_r_##bits)                                                                       \
    {                                                                                              \
        name##_##bits(cpu, op, REG(T, op->rm));                                                    \
        NEXT;                                                                                      \
    }                                                                                              \
    HANDLER(name##_m_##bits)                                                                       \
    {                                                                                              \
        name##_##bits(cpu, op, load##bits(cpu, op, ea(cpu, op)));                                  \
        NEXT;                                                                                      \
    }
#define SIZES(M, name)                                                                             \
    M(name, uint8_t, 8)                                                                            \
    M(name, uint16_t, 16)                                                                          \
    M(name, uint32_t, 32)                                                                          \
    M(name, uint64_t, 64)

SIZES(MUL_HANDLERS, mul)
SIZES(MUL_HANDLERS, imul)
SIZES(DIV_HANDLERS, div)
SIZES(DIV_HANDLERS, idiv)

/* IMUL with a destination of its own: reg = rm * reg, or rm * immediate. */
#define IMUL2(T, bits, insn)                                                                       \
    static inline void imul2_##bits(struct cpu *cpu, const struct op *op, T a, T b)                \
    {                                                                                              \
        uint16_t raw = cpu->raw;                                                                   \
        __asm__ volatile(FLAGS_IN insn " %[b], %[a]" FLAGS_OUT                                     \
                         : [a] "+r"(a), "+&a"(raw)                                                 \
                         : [b] "r"(b)                                                              \
                         : "cc");                                                                  \
        cpu->raw = raw;                                                                            \
        SET_REG(T, op->reg, a);                                                                    \
    }                                                                                              \
    HANDLER(imul2_r_##bits)                                                                        \
    {                                                                                              \
        imul2_##bits(cpu, op, REG(T, op->reg), REG(T, op->rm));                                    \
        NEXT;                                                                                      \
    }                                                                                              \
    HANDLER(imul2_m_##bits)                                                                        \
    {                                                                                              \
        imul2_##bits(cpu, op, REG(T, op->reg), load##bits(cpu, op, ea(cpu, op)));                  \
        NEXT;                                                                                      \
    }                                                                                              \
    HANDLER(imul3_r_##bits)                                                                        \
    {                                                                                              \
        imul2_##bits(cpu, op, REG(T, op->rm), (T)op->imm);                                         \
        NEXT;                                                                                      \
    }                                                                                              \
    HANDLER(imul3_m_##bits)                                                                        \
    {                                                                                              \
        imul2_##bits(cpu, op, load##bits(cpu, op, ea(cpu, op)), (T)op->imm);                       \
        NEXT;                                                                                      \
    }
IMUL2(uint16_t, 16, "imulw")
IMUL2(uint32_t, 32, "imull")
IMUL2(uint64_t, 64, "imulq")

#define ENTRY(text, fn, n)                                                                         \
    {.name = text,                                                                                 \
            .code = 0xf6,                                                                          \
            .ext = EXT(n),                                                                         \
            .form = FORM_E,                                                                        \
            .size = SIZE_B,                                                                        \
            .reg = BY_SIZE(fn##_r),                                                                \
            .mem = BY_SIZE(fn##_m)},                                                               \
    {                                                                                              \
        .name = text, .code = 0xf7, .ext = EXT(n), .form = FORM_E, .size = SIZE_V,                 \
        .reg = BY_SIZE(fn##_r), .mem = BY_SIZE(fn##_m)                                             \
    }
#define NO_8(fn)                                                                                   \
    {                                                                                              \
        NULL, fn##_16, fn##_32, fn##_64                                                            \
    }

/* clang-format off */
static const struct opcode table[] = {
    ENTRY("mul", mul, 4),
    ENTRY("imul", imul, 5),
    ENTRY("div", div, 6),
    ENTRY("idiv", idiv, 7),
    {.name = "imul", .map = MAP_0F, .code = 0xaf, .form = FORM_GR, .size = SIZE_V, .reg = NO_8(imul2_r), .mem = NO_8(imul2_m)},
    {.name = "imul", .code = 0x6b, .form = FORM_GRIB, .size = SIZE_V, .reg = NO_8(imul3_r), .mem = NO_8(imul3_m)},
    {.name = "imul", .code = 0x69, .form = FORM_GRIZ, .size = SIZE_V, .reg = NO_8(imul3_r), .mem = NO_8(imul3_m)},
};
/* clang-format on */

const struct opcode_list muldiv_opcodes = {table, sizeof(table) / sizeof(table[0])};
