#include "cpu/flags.h"
#include "cpu/handler.h"

/* ------------------------------------------------------------------ two operands */

/*
 * Six handlers for an operation and size: register with register, memory or immediate, memory with
 * register or immediate, and the last two locked. `write` is 0 for CMP and TEST; `carry` is
 * CARRY_IN where the carry flag is read.
 */
#define APPLY(T, insn, carry, target, source)                                                      \
    __asm__ volatile(carry insn " %[b], %[a]" FLAGS_OUT                                            \
                     : [a] "+r"(target), "=&a"(raw)                                                \
                     : [b] "r"(source), [raw] "m"(cpu->raw)                                        \
                     : "cc")
#define APPLY_MEM(T, lock, insn, carry, pointer, source)                                           \
    __asm__ volatile(carry lock insn " %[b], %[a]" FLAGS_OUT                                       \
                     : [a] "+m"(*(T *)(pointer)), "=&a"(raw)                                       \
                     : [b] "r"(source), [raw] "m"(cpu->raw)                                        \
                     : "cc", "memory")

#define BINARY(name, insn, T, bits, carry, write)                                                  \
    HANDLER(name##_rr_##bits)                                                                      \
    {                                                                                              \
        T a = REG(T, op->rm), b = REG(T, op->reg);                                                 \
        uint16_t raw;                                                                              \
        APPLY(T, insn, carry, a, b);                                                               \
        cpu->raw = raw;                                                                            \
        if (write)                                                                                 \
            SET_REG(T, op->rm, a);                                                                 \
        NEXT;                                                                                      \
    }                                                                                              \
    HANDLER(name##_ri_##bits)                                                                      \
    {                                                                                              \
        T a = REG(T, op->rm), b = (T)op->imm;                                                      \
        uint16_t raw;                                                                              \
        APPLY(T, insn, carry, a, b);                                                               \
        cpu->raw = raw;                                                                            \
        if (write)                                                                                 \
            SET_REG(T, op->rm, a);                                                                 \
        NEXT;                                                                                      \
    }
#define BINARY_RM(name, insn, T, bits, carry, write)                                               \
    HANDLER(name##_rm_##bits)                                                                      \
    {                                                                                              \
        T b = load##bits(cpu, op, ea(cpu, op)), a = REG(T, op->reg);                               \
        uint16_t raw;                                                                              \
        APPLY(T, insn, carry, a, b);                                                               \
        cpu->raw = raw;                                                                            \
        if (write)                                                                                 \
            SET_REG(T, op->reg, a);                                                                \
        NEXT;                                                                                      \
    }

#define BINARY_MEM(name, insn, lock, T, bits, carry)                                               \
    HANDLER(name##_mr_##bits)                                                                      \
    {                                                                                              \
        T b = REG(T, op->reg);                                                                     \
        void *target = mem_modify(cpu, op, ea(cpu, op), sizeof(T));                                \
        uint16_t raw;                                                                              \
        APPLY_MEM(T, lock, insn, carry, target, b);                                                \
        mem_done(cpu);                                                                             \
        cpu->raw = raw;                                                                            \
        NEXT;                                                                                      \
    }                                                                                              \
    HANDLER(name##_mi_##bits)                                                                      \
    {                                                                                              \
        T b = (T)op->imm;                                                                          \
        void *target = mem_modify(cpu, op, ea(cpu, op), sizeof(T));                                \
        uint16_t raw;                                                                              \
        APPLY_MEM(T, lock, insn, carry, target, b);                                                \
        mem_done(cpu);                                                                             \
        cpu->raw = raw;                                                                            \
        NEXT;                                                                                      \
    }

/* CMP and TEST only read memory. */
#define COMPARE_MEM(name, insn, T, bits)                                                           \
    HANDLER(name##_mr_##bits)                                                                      \
    {                                                                                              \
        T a = load##bits(cpu, op, ea(cpu, op)), b = REG(T, op->reg);                               \
        uint16_t raw;                                                                              \
        APPLY(T, insn, "", a, b);                                                                  \
        cpu->raw = raw;                                                                            \
        NEXT;                                                                                      \
    }                                                                                              \
    HANDLER(name##_mi_##bits)                                                                      \
    {                                                                                              \
        T a = load##bits(cpu, op, ea(cpu, op)), b = (T)op->imm;                                    \
        uint16_t raw;                                                                              \
        APPLY(T, insn, "", a, b);                                                                  \
        cpu->raw = raw;                                                                            \
        NEXT;                                                                                      \
    }

#define SIZES(M, name, insn, ...)                                                                  \
    M(name, insn "b", uint8_t, 8, __VA_ARGS__)                                                     \
    M(name, insn "w", uint16_t, 16, __VA_ARGS__)                                                   \
    M(name, insn "l", uint32_t, 32, __VA_ARGS__)                                                   \
    M(name, insn "q", uint64_t, 64, __VA_ARGS__)
#define SIZES_MEM(name, insn, carry)                                                               \
    BINARY_MEM(name, insn "b", "", uint8_t, 8, carry)                                              \
    BINARY_MEM(name, insn "w", "", uint16_t, 16, carry)                                            \
    BINARY_MEM(name, insn "l", "", uint32_t, 32, carry)                                            \
    BINARY_MEM(name, insn "q", "", uint64_t, 64, carry)                                            \
    BINARY_MEM(name##_lock, insn "b", "lock; ", uint8_t, 8, carry)                                 \
    BINARY_MEM(name##_lock, insn "w", "lock; ", uint16_t, 16, carry)                               \
    BINARY_MEM(name##_lock, insn "l", "lock; ", uint32_t, 32, carry)                               \
    BINARY_MEM(name##_lock, insn "q", "lock; ", uint64_t, 64, carry)
#define SIZES_COMPARE(name, insn)                                                                  \
    COMPARE_MEM(name, insn "b", uint8_t, 8)                                                        \
    COMPARE_MEM(name, insn "w", uint16_t, 16)                                                      \
    COMPARE_MEM(name, insn "l", uint32_t, 32)                                                      \
    COMPARE_MEM(name, insn "q", uint64_t, 64)

SIZES(BINARY, add, "add", "", 1)
SIZES(BINARY, or, "or", "", 1)
SIZES(BINARY, adc, "adc", CARRY_IN, 1)
SIZES(BINARY, sbb, "sbb", CARRY_IN, 1)
SIZES(BINARY, and, "and", "", 1)
SIZES(BINARY, sub, "sub", "", 1)
SIZES(BINARY, xor, "xor", "", 1)
SIZES(BINARY, cmp, "cmp", "", 0)
SIZES(BINARY_RM, add, "add", "", 1)
SIZES(BINARY_RM, or, "or", "", 1)
SIZES(BINARY_RM, adc, "adc", CARRY_IN, 1)
SIZES(BINARY_RM, sbb, "sbb", CARRY_IN, 1)
SIZES(BINARY_RM, and, "and", "", 1)
SIZES(BINARY_RM, sub, "sub", "", 1)
SIZES(BINARY_RM, xor, "xor", "", 1)
SIZES(BINARY_RM, cmp, "cmp", "", 0)
SIZES(BINARY, test, "test", "", 0)
SIZES_MEM(add, "add", "")
SIZES_MEM(or, "or", "")
SIZES_MEM(adc, "adc", CARRY_IN)
SIZES_MEM(sbb, "sbb", CARRY_IN)
SIZES_MEM(and, "and", "")
SIZES_MEM(sub, "sub", "")
SIZES_MEM(xor, "xor", "")
SIZES_COMPARE(cmp, "cmp")
SIZES_COMPARE(test, "test")

/* ------------------------------------------------------------------ one operand */

#define UNARY(name, insn, T, bits, carry, keep)                                                    \
    HANDLER(name##_r_##bits)                                                                       \
    {                                                                                              \
        T a = REG(T, op->rm);                                                                      \
        uint16_t raw;                                                                              \
        __asm__ volatile(carry insn " %[a]" FLAGS_OUT                                              \
                         : [a] "+r"(a), "=&a"(raw)                                                 \
                         : [raw] "m"(cpu->raw)                                                     \
                         : "cc");                                                                  \
        if (!keep)                                                                                 \
            cpu->raw = raw;                                                                        \
        SET_REG(T, op->rm, a);                                                                     \
        NEXT;                                                                                      \
    }

#define UNARY_MEM(name, insn, T, bits, carry, keep)                                                \
    HANDLER(name##_m_##bits)                                                                       \
    {                                                                                              \
        void *target = mem_modify(cpu, op, ea(cpu, op), sizeof(T));                                \
        uint16_t raw;                                                                              \
        __asm__ volatile(carry insn " %[a]" FLAGS_OUT                                              \
                         : [a] "+m"(*(T *)target), "=&a"(raw)                                      \
                         : [raw] "m"(cpu->raw)                                                     \
                         : "cc", "memory");                                                        \
        mem_done(cpu);                                                                             \
        if (!keep)                                                                                 \
            cpu->raw = raw;                                                                        \
        NEXT;                                                                                      \
    }

#define SIZES_UNARY(name, insn, carry, keep)                                                       \
    SIZES(UNARY, name, insn, carry, keep)                                                          \
    SIZES(UNARY_MEM, name, insn, carry, keep)                                                      \
    SIZES(UNARY_MEM, name##_lock, "lock; " insn, carry, keep)

SIZES_UNARY(inc, "inc", CARRY_IN, 0)
SIZES_UNARY(dec, "dec", CARRY_IN, 0)
SIZES_UNARY(not, "not", "", 1)
SIZES_UNARY(neg, "neg", "", 0)

/* ------------------------------------------------------------------ table */

#define FAMILY(text, fn, first, n)                                                                 \
    {.name = text,                                                                                 \
            .code = first,                                                                         \
            .form = FORM_EG,                                                                       \
            .size = SIZE_B,                                                                        \
            .attr = AT_LOCK | AT_WRITES,                                                           \
            .reg = BY_SIZE(fn##_rr),                                                               \
            .mem = BY_SIZE(fn##_mr),                                                               \
            .lock = BY_SIZE(fn##_lock_mr)},                                                        \
            {.name = text,                                                                         \
                    .code = first + 1,                                                             \
                    .form = FORM_EG,                                                               \
                    .size = SIZE_V,                                                                \
                    .attr = AT_LOCK | AT_WRITES,                                                   \
                    .reg = BY_SIZE(fn##_rr),                                                       \
                    .mem = BY_SIZE(fn##_mr),                                                       \
                    .lock = BY_SIZE(fn##_lock_mr)},                                                \
            COMMON(text, fn, first),                                                               \
            IMMEDIATE(text, fn, n, AT_LOCK | AT_WRITES, BY_SIZE(fn##_lock_mi))

#define COMMON(text, fn, first)                                                                    \
    {.name = text,                                                                                 \
            .code = first + 2,                                                                     \
            .form = FORM_GE,                                                                       \
            .size = SIZE_B,                                                                        \
            .reg = BY_SIZE(fn##_rr),                                                               \
            .mem = BY_SIZE(fn##_rm)},                                                              \
            {.name = text,                                                                         \
                    .code = first + 3,                                                             \
                    .form = FORM_GE,                                                               \
                    .size = SIZE_V,                                                                \
                    .reg = BY_SIZE(fn##_rr),                                                       \
                    .mem = BY_SIZE(fn##_rm)},                                                      \
            {.name = text,                                                                         \
                    .code = first + 4,                                                             \
                    .form = FORM_AI,                                                               \
                    .size = SIZE_B,                                                                \
                    .reg = BY_SIZE(fn##_ri)},                                                      \
    {                                                                                              \
        .name = text, .code = first + 5, .form = FORM_AI, .size = SIZE_V, .reg = BY_SIZE(fn##_ri)  \
    }

#define IMMEDIATE_OF(text, fn, number, n, form_, size_, attr_, ...)                                \
    {                                                                                              \
        .name = text, .code = number, .ext = EXT(n), .form = form_, .size = size_, .attr = attr_,  \
        .reg = BY_SIZE(fn##_ri), .mem = BY_SIZE(fn##_mi), .lock = __VA_ARGS__                      \
    }
#define IMMEDIATE(text, fn, n, attr_, ...)                                                         \
    IMMEDIATE_OF(text, fn, 0x80, n, FORM_EIB, SIZE_B, attr_, __VA_ARGS__),                         \
            IMMEDIATE_OF(text, fn, 0x82, n, FORM_EIB, SIZE_B, (attr_) | AT_NO64, __VA_ARGS__),     \
            IMMEDIATE_OF(text, fn, 0x81, n, FORM_EIZ, SIZE_V, attr_, __VA_ARGS__),                 \
            IMMEDIATE_OF(text, fn, 0x83, n, FORM_EIB, SIZE_V, attr_, __VA_ARGS__)

#define ONE(text, fn, code_, n, size_)                                                             \
    {                                                                                              \
        .name = text, .code = code_, .ext = EXT(n), .form = FORM_E, .size = size_,                 \
        .attr = AT_LOCK | AT_WRITES, .reg = BY_SIZE(fn##_r), .mem = BY_SIZE(fn##_m),               \
        .lock = BY_SIZE(fn##_lock_m)                                                               \
    }

/* clang-format off */
static const struct opcode table[] = {
    FAMILY("add", add, 0x00, 0),
    FAMILY("or", or, 0x08, 1),
    FAMILY("adc", adc, 0x10, 2),
    FAMILY("sbb", sbb, 0x18, 3),
    FAMILY("and", and, 0x20, 4),
    FAMILY("sub", sub, 0x28, 5),
    FAMILY("xor", xor, 0x30, 6),
    {.name = "cmp", .code = 0x38, .form = FORM_EG, .size = SIZE_B, .reg = BY_SIZE(cmp_rr), .mem = BY_SIZE(cmp_mr)},
    {.name = "cmp", .code = 0x39, .form = FORM_EG, .size = SIZE_V, .reg = BY_SIZE(cmp_rr), .mem = BY_SIZE(cmp_mr)},
    COMMON("cmp", cmp, 0x38),
    IMMEDIATE("cmp", cmp, 7, 0, {NULL}),
    {.name = "test", .code = 0x84, .form = FORM_EG, .size = SIZE_B, .reg = BY_SIZE(test_rr), .mem = BY_SIZE(test_mr)},
    {.name = "test", .code = 0x85, .form = FORM_EG, .size = SIZE_V, .reg = BY_SIZE(test_rr), .mem = BY_SIZE(test_mr)},
    {.name = "test", .code = 0xa8, .form = FORM_AI, .size = SIZE_B, .reg = BY_SIZE(test_ri)},
    {.name = "test", .code = 0xa9, .form = FORM_AI, .size = SIZE_V, .reg = BY_SIZE(test_ri)},
    IMMEDIATE_OF("test", test, 0xf6, 0, FORM_EIB, SIZE_B, 0, {NULL}),
    IMMEDIATE_OF("test", test, 0xf6, 1, FORM_EIB, SIZE_B, 0, {NULL}),
    IMMEDIATE_OF("test", test, 0xf7, 0, FORM_EIZ, SIZE_V, 0, {NULL}),
    IMMEDIATE_OF("test", test, 0xf7, 1, FORM_EIZ, SIZE_V, 0, {NULL}),
    {.name = "inc", .code = 0x40, .span = 8, .form = FORM_O, .size = SIZE_V, .attr = AT_NO64, .reg = BY_SIZE(inc_r)},
    {.name = "dec", .code = 0x48, .span = 8, .form = FORM_O, .size = SIZE_V, .attr = AT_NO64, .reg = BY_SIZE(dec_r)},
    ONE("inc", inc, 0xfe, 0, SIZE_B),
    ONE("inc", inc, 0xff, 0, SIZE_V),
    ONE("dec", dec, 0xfe, 1, SIZE_B),
    ONE("dec", dec, 0xff, 1, SIZE_V),
    ONE("not", not, 0xf6, 2, SIZE_B),
    ONE("not", not, 0xf7, 2, SIZE_V),
    ONE("neg", neg, 0xf6, 3, SIZE_B),
    ONE("neg", neg, 0xf7, 3, SIZE_V),
};
/* clang-format on */

const struct opcode_list alu_opcodes = {table, sizeof(table) / sizeof(table[0])};
