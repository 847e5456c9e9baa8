#include "cpu/flags.h"
#include "cpu/handler.h"

/* ------------------------------------------------------------------ BT, BTS, BTR, BTC */

/* Flags other than the carry are undefined; the silicon keeps them, so they go in and out. */
#define BIT(name, insn, T, bits)                                                                   \
    static inline T name##_##bits(struct cpu *cpu, T a, T bit)                                     \
    {                                                                                              \
        uint16_t raw = cpu->raw;                                                                   \
        __asm__ volatile(FLAGS_IN insn " %[b], %[a]" FLAGS_OUT                                     \
                         : [a] "+r"(a), "+&a"(raw)                                                 \
                         : [b] "r"(bit)                                                            \
                         : "cc");                                                                  \
        cpu->raw = raw;                                                                            \
        return a;                                                                                  \
    }                                                                                              \
    ANY_ALIGNMENT static inline void name##_mem_##bits(                                            \
            struct cpu *cpu, const struct op *op, uint64_t linear, T bit)                          \
    {                                                                                              \
        T *target = mem_modify(cpu, op, linear, sizeof(T));                                        \
        T mask = (T)((T)1 << (bit % bits)), old = *target;                                         \
        if (op->flags & OP_LOCK)                                                                   \
            old = name##_atomic_##bits(target, mask);                                              \
        T result = name##_##bits(cpu, old, bit % bits);                                            \
        if (!(op->flags & OP_LOCK))                                                                \
            *target = result;                                                                      \
        mem_done(cpu);                                                                             \
    }

#define ATOMIC(T, bits)                                                                            \
    ANY_ALIGNMENT static inline T bts_atomic_##bits(T *target, T mask)                             \
    {                                                                                              \
        return __atomic_fetch_or(target, mask, __ATOMIC_SEQ_CST);                                  \
    }                                                                                              \
    ANY_ALIGNMENT static inline T btr_atomic_##bits(T *target, T mask)                             \
    {                                                                                              \
        return __atomic_fetch_and(target, (T)~mask, __ATOMIC_SEQ_CST);                             \
    }                                                                                              \
    ANY_ALIGNMENT static inline T btc_atomic_##bits(T *target, T mask)                             \
    {                                                                                              \
        return __atomic_fetch_xor(target, mask, __ATOMIC_SEQ_CST);                                 \
    }
ATOMIC(uint16_t, 16)
ATOMIC(uint32_t, 32)
ATOMIC(uint64_t, 64)

#define SIZES(M, name, insn)                                                                       \
    M(name, insn "w", uint16_t, 16)                                                                \
    M(name, insn "l", uint32_t, 32)                                                                \
    M(name, insn "q", uint64_t, 64)

SIZES(BIT, bts, "bts")
SIZES(BIT, btr, "btr")
SIZES(BIT, btc, "btc")

#define TEST(insn, T, bits)                                                                        \
    static inline void bt_##bits(struct cpu *cpu, T a, T bit)                                      \
    {                                                                                              \
        uint16_t raw = cpu->raw;                                                                   \
        __asm__ volatile(FLAGS_IN insn " %[b], %[a]" FLAGS_OUT                                     \
                         : "+&a"(raw)                                                              \
                         : [a] "r"(a), [b] "r"(bit)                                                \
                         : "cc");                                                                  \
        cpu->raw = raw;                                                                            \
    }
TEST("btw", uint16_t, 16)
TEST("btl", uint32_t, 32)
TEST("btq", uint64_t, 64)

/* With a register, the bit may lie anywhere around the operand's address. */
static uint64_t bit_linear(struct cpu *cpu, const struct op *op)
{
    struct op moved = *op;
    int64_t bit = (int64_t)(reg_get(cpu, op->reg, op->size) << (64 - (8u << op->size)));
    bit >>= 64 - (8u << op->size);
    moved.disp += (bit >> (3 + op->size)) * (int64_t)(1 << op->size);
    return ea(cpu, &moved);
}

#define BIT_HANDLERS(name, insn, T, bits)                                                          \
    HANDLER(name##_rr_##bits)                                                                      \
    {                                                                                              \
        T a = name##_##bits(cpu, REG(T, op->rm), REG(T, op->reg));                                 \
        SET_REG(T, op->rm, a);                                                                     \
        NEXT;                                                                                      \
    }                                                                                              \
    HANDLER(name##_ri_##bits)                                                                      \
    {                                                                                              \
        T a = name##_##bits(cpu, REG(T, op->rm), (T)op->imm);                                      \
        SET_REG(T, op->rm, a);                                                                     \
        NEXT;                                                                                      \
    }                                                                                              \
    HANDLER(name##_mr_##bits)                                                                      \
    {                                                                                              \
        name##_mem_##bits(cpu, op, bit_linear(cpu, op), REG(T, op->reg));                          \
        NEXT;                                                                                      \
    }                                                                                              \
    HANDLER(name##_mi_##bits)                                                                      \
    {                                                                                              \
        name##_mem_##bits(cpu, op, ea(cpu, op), (T)op->imm);                                       \
        NEXT;                                                                                      \
    }
SIZES(BIT_HANDLERS, bts, "")
SIZES(BIT_HANDLERS, btr, "")
SIZES(BIT_HANDLERS, btc, "")

#define TEST_HANDLERS(name, insn, T, bits)                                                         \
    HANDLER(name##_rr_##bits)                                                                      \
    {                                                                                              \
        bt_##bits(cpu, REG(T, op->rm), REG(T, op->reg));                                           \
        NEXT;                                                                                      \
    }                                                                                              \
    HANDLER(name##_ri_##bits)                                                                      \
    {                                                                                              \
        bt_##bits(cpu, REG(T, op->rm), (T)op->imm);                                                \
        NEXT;                                                                                      \
    }                                                                                              \
    HANDLER(name##_mr_##bits)                                                                      \
    {                                                                                              \
        bt_##bits(cpu, load##bits(cpu, op, bit_linear(cpu, op)), REG(T, op->reg));                 \
        NEXT;                                                                                      \
    }                                                                                              \
    HANDLER(name##_mi_##bits)                                                                      \
    {                                                                                              \
        bt_##bits(cpu, load##bits(cpu, op, ea(cpu, op)), (T)op->imm);                              \
        NEXT;                                                                                      \
    }
SIZES(TEST_HANDLERS, bt, "")

/* ------------------------------------------------------------------ scans and counts */

/* BSF and BSR of zero leave the destination; the host does the same with the old value given. */
#define SCAN(name, insn, T, bits)                                                                  \
    static inline void name##_##bits(struct cpu *cpu, const struct op *op, T b)                    \
    {                                                                                              \
        T a = REG(T, op->reg);                                                                     \
        uint16_t raw = cpu->raw;                                                                   \
        __asm__ volatile(FLAGS_IN insn " %[b], %[a]" FLAGS_OUT                                     \
                         : [a] "+r"(a), "+&a"(raw)                                                 \
                         : [b] "r"(b)                                                              \
                         : "cc");                                                                  \
        cpu->raw = raw;                                                                            \
        if (b || keeps_nothing_##name)                                                             \
            SET_REG(T, op->reg, a);                                                                \
    }                                                                                              \
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
enum { keeps_nothing_bsf = 0, keeps_nothing_bsr = 0, keeps_nothing_popcnt = 1 };
SIZES(SCAN, bsf, "bsf")
SIZES(SCAN, bsr, "bsr")
SIZES(SCAN, popcnt, "popcnt")

#define CRC(T, bits, insn)                                                                         \
    static inline void crc_##bits(struct cpu *cpu, const struct op *op, T b)                       \
    {                                                                                              \
        uint64_t sum = REG32(cpu, op->reg);                                                        \
        __asm__(insn " %[b], %[a]" : [a] "+r"(sum) : [b] "r"(b));                                  \
        REG64(cpu, op->reg) = (uint32_t)sum;                                                       \
    }                                                                                              \
    HANDLER(crc_r_##bits)                                                                          \
    {                                                                                              \
        crc_##bits(cpu, op, REG(T, op->rm));                                                       \
        NEXT;                                                                                      \
    }                                                                                              \
    HANDLER(crc_m_##bits)                                                                          \
    {                                                                                              \
        crc_##bits(cpu, op, load##bits(cpu, op, ea(cpu, op)));                                     \
        NEXT;                                                                                      \
    }
CRC(uint8_t, 8, "crc32b")
CRC(uint16_t, 16, "crc32w %[b], %k[a] #")
CRC(uint32_t, 32, "crc32l %[b], %k[a] #")
CRC(uint64_t, 64, "crc32q")

/* ------------------------------------------------------------------ table */

#define NO_8(fn)                                                                                   \
    {                                                                                              \
        NULL, fn##_16, fn##_32, fn##_64                                                            \
    }
#define BIT_ENTRY(text, fn, code_, n, attr_)                                                       \
    {.name = text,                                                                                 \
            .map = MAP_0F,                                                                         \
            .code = code_,                                                                         \
            .form = FORM_EG,                                                                       \
            .size = SIZE_V,                                                                        \
            .attr = attr_,                                                                         \
            .reg = NO_8(fn##_rr),                                                                  \
            .mem = NO_8(fn##_mr)},                                                                 \
    {                                                                                              \
        .name = text, .map = MAP_0F, .code = 0xba, .ext = EXT(n), .form = FORM_EIB,                \
        .size = SIZE_V, .attr = attr_, .reg = NO_8(fn##_ri), .mem = NO_8(fn##_mi)                  \
    }

/* clang-format off */
static const struct opcode table[] = {
    BIT_ENTRY("bt", bt, 0xa3, 4, 0),
    BIT_ENTRY("bts", bts, 0xab, 5, AT_LOCK | AT_WRITES),
    BIT_ENTRY("btr", btr, 0xb3, 6, AT_LOCK | AT_WRITES),
    BIT_ENTRY("btc", btc, 0xbb, 7, AT_LOCK | AT_WRITES),
    {.name = "bsf", .map = MAP_0F, .code = 0xbc, .form = FORM_GR, .size = SIZE_V, .reg = NO_8(bsf_r), .mem = NO_8(bsf_m)},
    {.name = "bsr", .map = MAP_0F, .code = 0xbd, .form = FORM_GR, .size = SIZE_V, .reg = NO_8(bsr_r), .mem = NO_8(bsr_m)},
    {.name = "popcnt", .map = MAP_0F, .code = 0xb8, .prefix = PREFIX_F3, .form = FORM_GR, .size = SIZE_V, .reg = NO_8(popcnt_r), .mem = NO_8(popcnt_m)},
    {.name = "crc32", .map = MAP_0F38, .code = 0xf0, .prefix = PREFIX_F2, .form = FORM_GR, .size = SIZE_Y, .attr = AT_RM8, .reg = ALL(crc_r_8), .mem = ALL(crc_m_8)},
    {.name = "crc32", .map = MAP_0F38, .code = 0xf1, .prefix = PREFIX_F2, .form = FORM_GR, .size = SIZE_V, .reg = NO_8(crc_r), .mem = NO_8(crc_m)},
};
/* clang-format on */

const struct opcode_list bits_opcodes = {table, sizeof(table) / sizeof(table[0])};
