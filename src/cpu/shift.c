#include "cpu/flags.h"
#include "cpu/handler.h"

/*
 * Shifts and rotates by an immediate or CL. A count of zero leaves the flags, so all of them are
 * loaded before and taken after.
 */
#define SHIFT(name, insn, T, bits)                                                                 \
    static inline T name##_##bits(struct cpu *cpu, T a, uint8_t count)                             \
    {                                                                                              \
        uint16_t raw = cpu->raw;                                                                   \
        __asm__ volatile(FLAGS_IN insn " %%cl, %[a]" FLAGS_OUT                                     \
                         : [a] "+r"(a), "+&a"(raw)                                                 \
                         : "c"(count)                                                              \
                         : "cc");                                                                  \
        cpu->raw = raw;                                                                            \
        return a;                                                                                  \
    }                                                                                              \
    HANDLER(name##_ri_##bits)                                                                      \
    {                                                                                              \
        T a = name##_##bits(cpu, REG(T, op->rm), (uint8_t)op->imm);                                \
        SET_REG(T, op->rm, a);                                                                     \
        NEXT;                                                                                      \
    }                                                                                              \
    HANDLER(name##_rc_##bits)                                                                      \
    {                                                                                              \
        T a = name##_##bits(cpu, REG(T, op->rm), REG8(cpu, CPU_RCX * 8));                          \
        SET_REG(T, op->rm, a);                                                                     \
        NEXT;                                                                                      \
    }                                                                                              \
    HANDLER(name##_mi_##bits)                                                                      \
    {                                                                                              \
        void *target = mem_modify(cpu, op, ea(cpu, op), sizeof(T));                                \
        *(any##bits *)target = name##_##bits(cpu, *(any##bits *)target, (uint8_t)op->imm);         \
        mem_done(cpu);                                                                             \
        NEXT;                                                                                      \
    }                                                                                              \
    HANDLER(name##_mc_##bits)                                                                      \
    {                                                                                              \
        void *target = mem_modify(cpu, op, ea(cpu, op), sizeof(T));                                \
        *(any##bits *)target = name##_##bits(cpu, *(any##bits *)target, REG8(cpu, CPU_RCX * 8));   \
        mem_done(cpu);                                                                             \
        NEXT;                                                                                      \
    }

#define SIZES(name, insn)                                                                          \
    SHIFT(name, insn "b", uint8_t, 8)                                                              \
    SHIFT(name, insn "w", uint16_t, 16)                                                            \
    SHIFT(name, insn "l", uint32_t, 32)                                                            \
    SHIFT(name, insn "q", uint64_t, 64)

SIZES(rol, "rol")
SIZES(ror, "ror")
SIZES(rcl, "rcl")
SIZES(rcr, "rcr")
SIZES(shl, "shl")
SIZES(shr, "shr")
SIZES(sar, "sar")

/* SHLD and SHRD: bits come in from a second register. */
#define DOUBLE(name, insn, T, bits)                                                                \
    static inline T name##_##bits(struct cpu *cpu, T a, T b, uint8_t count)                        \
    {                                                                                              \
        uint16_t raw = cpu->raw;                                                                   \
        __asm__ volatile(FLAGS_IN insn " %%cl, %[b], %[a]" FLAGS_OUT                               \
                         : [a] "+r"(a), "+&a"(raw)                                                 \
                         : [b] "r"(b), "c"(count)                                                  \
                         : "cc");                                                                  \
        cpu->raw = raw;                                                                            \
        return a;                                                                                  \
    }                                                                                              \
    static inline const struct op *name##_do_##bits(                                               \
            struct cpu *cpu, const struct op *op, uint8_t count, bool is_mem)                      \
    {                                                                                              \
        if (is_mem) {                                                                              \
            void *target = mem_modify(cpu, op, ea(cpu, op), sizeof(T));                            \
            *(any##bits *)target =                                                                 \
                    name##_##bits(cpu, *(any##bits *)target, REG(T, op->reg), count);              \
            mem_done(cpu);                                                                         \
        } else {                                                                                   \
            T a = name##_##bits(cpu, REG(T, op->rm), REG(T, op->reg), count);                      \
            SET_REG(T, op->rm, a);                                                                 \
        }                                                                                          \
        NEXT;                                                                                      \
    }                                                                                              \
    HANDLER(name##_ri_##bits)                                                                      \
    {                                                                                              \
        return name##_do_##bits(cpu, op, (uint8_t)op->imm, false);                                 \
    }                                                                                              \
    HANDLER(name##_rc_##bits)                                                                      \
    {                                                                                              \
        return name##_do_##bits(cpu, op, REG8(cpu, CPU_RCX * 8), false);                           \
    }                                                                                              \
    HANDLER(name##_mi_##bits)                                                                      \
    {                                                                                              \
        return name##_do_##bits(cpu, op, (uint8_t)op->imm, true);                                  \
    }                                                                                              \
    HANDLER(name##_mc_##bits)                                                                      \
    {                                                                                              \
        return name##_do_##bits(cpu, op, REG8(cpu, CPU_RCX * 8), true);                            \
    }

DOUBLE(shld, "shldw", uint16_t, 16)
DOUBLE(shld, "shldl", uint32_t, 32)
DOUBLE(shld, "shldq", uint64_t, 64)
DOUBLE(shrd, "shrdw", uint16_t, 16)
DOUBLE(shrd, "shrdl", uint32_t, 32)
DOUBLE(shrd, "shrdq", uint64_t, 64)

#define ENTRY(text, fn, code_, n, form_, size_, way)                                               \
    {                                                                                              \
        .name = text, .code = code_, .ext = EXT(n), .form = form_, .size = size_,                  \
        .attr = AT_WRITES, .reg = BY_SIZE(fn##_r##way), .mem = BY_SIZE(fn##_m##way)                \
    }
#define GROUP(text, fn, n)                                                                         \
    ENTRY(text, fn, 0xc0, n, FORM_EIB, SIZE_B, i), ENTRY(text, fn, 0xc1, n, FORM_EIB, SIZE_V, i),  \
            ENTRY(text, fn, 0xd0, n, FORM_E1, SIZE_B, i),                                          \
            ENTRY(text, fn, 0xd1, n, FORM_E1, SIZE_V, i),                                          \
            ENTRY(text, fn, 0xd2, n, FORM_E, SIZE_B, c),                                           \
            ENTRY(text, fn, 0xd3, n, FORM_E, SIZE_V, c)
#define DOUBLE_ENTRY(text, fn, code_, form_, way)                                                  \
    {                                                                                              \
        .name = text, .map = MAP_0F, .code = code_, .form = form_, .size = SIZE_V,                 \
        .attr = AT_WRITES, .reg = {NULL, fn##_r##way##_16, fn##_r##way##_32, fn##_r##way##_64},    \
        .mem = {                                                                                   \
            NULL,                                                                                  \
            fn##_m##way##_16,                                                                      \
            fn##_m##way##_32,                                                                      \
            fn##_m##way##_64                                                                       \
        }                                                                                          \
    }

/* clang-format off */
static const struct opcode table[] = {
    GROUP("rol", rol, 0),
    GROUP("ror", ror, 1),
    GROUP("rcl", rcl, 2),
    GROUP("rcr", rcr, 3),
    GROUP("shl", shl, 4),
    GROUP("shr", shr, 5),
    GROUP("shl", shl, 6),
    GROUP("sar", sar, 7),
    DOUBLE_ENTRY("shld", shld, 0xa4, FORM_GRIB, i),
    DOUBLE_ENTRY("shld", shld, 0xa5, FORM_GR, c),
    DOUBLE_ENTRY("shrd", shrd, 0xac, FORM_GRIB, i),
    DOUBLE_ENTRY("shrd", shrd, 0xad, FORM_GR, c),
};
/* clang-format on */

const struct opcode_list shift_opcodes = {table, sizeof(table) / sizeof(table[0])};
