#include "cpu/flags.h"
#include "cpu/handler.h"
#include "cpu/segment.h"

/* ------------------------------------------------------------------ MOV, LEA, XCHG */

#define MOVES(T, bits)                                                                             \
    HANDLER(mov_rr_##bits)                                                                         \
    {                                                                                              \
        SET_REG(T, op->rm, REG(T, op->reg));                                                       \
        NEXT;                                                                                      \
    }                                                                                              \
    HANDLER(mov_ri_##bits)                                                                         \
    {                                                                                              \
        SET_REG(T, op->rm, op->imm);                                                               \
        NEXT;                                                                                      \
    }                                                                                              \
    HANDLER(mov_rm_##bits)                                                                         \
    {                                                                                              \
        T value = load##bits(cpu, op, ea(cpu, op));                                                \
        SET_REG(T, op->reg, value);                                                                \
        NEXT;                                                                                      \
    }                                                                                              \
    HANDLER(mov_mr_##bits)                                                                         \
    {                                                                                              \
        store##bits(cpu, op, ea(cpu, op), REG(T, op->reg));                                        \
        NEXT;                                                                                      \
    }                                                                                              \
    HANDLER(mov_mi_##bits)                                                                         \
    {                                                                                              \
        store##bits(cpu, op, ea(cpu, op), (T)op->imm);                                             \
        NEXT;                                                                                      \
    }                                                                                              \
    HANDLER(xchg_rr_##bits)                                                                        \
    {                                                                                              \
        T other = REG(T, op->rm);                                                                  \
        SET_REG(T, op->rm, REG(T, op->reg));                                                       \
        SET_REG(T, op->reg, other);                                                                \
        NEXT;                                                                                      \
    }                                                                                              \
    HANDLER(xchg_mr_##bits)                                                                        \
    {                                                                                              \
        T *target = mem_modify(cpu, op, ea(cpu, op), sizeof(T));                                   \
        T value = __atomic_exchange_n(target, REG(T, op->reg), __ATOMIC_SEQ_CST);                  \
        mem_done(cpu);                                                                             \
        SET_REG(T, op->reg, value);                                                                \
        NEXT;                                                                                      \
    }
MOVES(uint8_t, 8)
MOVES(uint16_t, 16)
MOVES(uint32_t, 32)
MOVES(uint64_t, 64)

#define LEA(T, bits)                                                                               \
    HANDLER(lea_##bits)                                                                            \
    {                                                                                              \
        SET_REG(T, op->reg, ea_offset(cpu, op));                                                   \
        NEXT;                                                                                      \
    }
LEA(uint16_t, 16)
LEA(uint32_t, 32)
LEA(uint64_t, 64)

/* MOV with the whole address in the instruction. */
HANDLER(mov_from_offset)
{
    uint64_t linear = moffs_linear(cpu, op, false);
    reg_set(cpu, CPU_RAX * 8, op->size, mem_load_value(cpu, op, linear, 1u << op->size));
    NEXT;
}

HANDLER(mov_to_offset)
{
    uint64_t linear = moffs_linear(cpu, op, true);
    mem_store_value(cpu, op, linear, REG64(cpu, CPU_RAX * 8), 1u << op->size);
    NEXT;
}

/* ------------------------------------------------------------------ widening */

#define EXTEND(name, From, from, To, to)                                                           \
    HANDLER(name##_r_##to)                                                                         \
    {                                                                                              \
        To wide = (To)REG(From, op->rm);                                                           \
        SET_REG(To, op->reg, wide);                                                                \
        NEXT;                                                                                      \
    }                                                                                              \
    HANDLER(name##_m_##to)                                                                         \
    {                                                                                              \
        To wide = (To)(From)load##from(cpu, op, ea(cpu, op));                                      \
        SET_REG(To, op->reg, wide);                                                                \
        NEXT;                                                                                      \
    }
EXTEND(movzxb, uint8_t, 8, uint16_t, 16)
EXTEND(movzxb, uint8_t, 8, uint32_t, 32)
EXTEND(movzxb, uint8_t, 8, uint64_t, 64)
EXTEND(movzxw, uint16_t, 16, uint16_t, 16)
EXTEND(movzxw, uint16_t, 16, uint32_t, 32)
EXTEND(movzxw, uint16_t, 16, uint64_t, 64)
EXTEND(movsxb, int8_t, 8, uint16_t, 16)
EXTEND(movsxb, int8_t, 8, uint32_t, 32)
EXTEND(movsxb, int8_t, 8, uint64_t, 64)
EXTEND(movsxw, int16_t, 16, uint16_t, 16)
EXTEND(movsxw, int16_t, 16, uint32_t, 32)
EXTEND(movsxw, int16_t, 16, uint64_t, 64)
EXTEND(movsxd, int32_t, 32, uint64_t, 64)

/* MOVSXD without REX.W only moves. */
HANDLER(movsxd_r_16)
{
    REG16(cpu, op->reg) = REG16(cpu, op->rm);
    NEXT;
}

HANDLER(movsxd_m_16)
{
    REG16(cpu, op->reg) = (uint16_t)load32(cpu, op, ea(cpu, op)); /* AMD reads all four bytes */
    NEXT;
}

HANDLER(movsxd_r_32)
{
    REG64(cpu, op->reg) = REG32(cpu, op->rm);
    NEXT;
}

HANDLER(cbw)
{
    REG16(cpu, 0) = (uint16_t)(int8_t)REG8(cpu, 0);
    NEXT;
}

HANDLER(cwde)
{
    int32_t wide = (int16_t)REG16(cpu, 0);
    REG64(cpu, 0) = (uint32_t)wide;
    NEXT;
}

HANDLER(cdqe)
{
    REG64(cpu, 0) = (uint64_t)(int32_t)REG32(cpu, 0);
    NEXT;
}

HANDLER(cwd)
{
    REG16(cpu, CPU_RDX * 8) = (uint16_t)((int16_t)REG16(cpu, 0) >> 15);
    NEXT;
}

HANDLER(cdq)
{
    REG64(cpu, CPU_RDX * 8) = REG32(cpu, 0) >> 31 ? 0xffffffffu : 0;
    NEXT;
}

HANDLER(cqo)
{
    REG64(cpu, CPU_RDX * 8) = (uint64_t)((int64_t)REG64(cpu, 0) >> 63);
    NEXT;
}

/* ------------------------------------------------------------------ conditional */

/* CMOV reads memory, and clears the upper half of a 32-bit register, whatever the condition. */
#define CMOV(cc, code, T, bits)                                                                    \
    HANDLER(cmov##cc##_r_##bits)                                                                   \
    {                                                                                              \
        T value = condition(cpu, code) ? REG(T, op->rm) : REG(T, op->reg);                         \
        SET_REG(T, op->reg, value);                                                                \
        NEXT;                                                                                      \
    }                                                                                              \
    HANDLER(cmov##cc##_m_##bits)                                                                   \
    {                                                                                              \
        T value = load##bits(cpu, op, ea(cpu, op));                                                \
        if (!condition(cpu, code))                                                                 \
            value = REG(T, op->reg);                                                               \
        SET_REG(T, op->reg, value);                                                                \
        NEXT;                                                                                      \
    }
#define CONDITIONAL(cc, code)                                                                      \
    CMOV(cc, code, uint16_t, 16)                                                                   \
    CMOV(cc, code, uint32_t, 32)                                                                   \
    CMOV(cc, code, uint64_t, 64)                                                                   \
    HANDLER(set##cc##_r)                                                                           \
    {                                                                                              \
        REG8(cpu, op->rm) = condition(cpu, code);                                                  \
        NEXT;                                                                                      \
    }                                                                                              \
    HANDLER(set##cc##_m)                                                                           \
    {                                                                                              \
        store8(cpu, op, ea(cpu, op), condition(cpu, code));                                        \
        NEXT;                                                                                      \
    }
CONDITIONS(CONDITIONAL)

/* ------------------------------------------------------------------ bytes turned round */

HANDLER(bswap)
{
    if (op->size == 3)
        REG64(cpu, op->rm) = __builtin_bswap64(REG64(cpu, op->rm));
    else if (op->size == 2)
        REG64(cpu, op->rm) = __builtin_bswap32(REG32(cpu, op->rm));
    else
        REG16(cpu, op->rm) = 0; /* undefined; what the silicon does */
    NEXT;
}

static uint64_t swap(uint64_t value, unsigned size)
{
    return __builtin_bswap64(value) >> (64 - (8u << size));
}

HANDLER(movbe_load)
{
    uint64_t value = mem_load_value(cpu, op, ea(cpu, op), 1u << op->size);
    reg_set(cpu, op->reg, op->size, swap(value, op->size));
    NEXT;
}

HANDLER(movbe_store)
{
    uint64_t value = reg_get(cpu, op->reg, op->size);
    mem_store_value(cpu, op, ea(cpu, op), swap(value, op->size), 1u << op->size);
    NEXT;
}

HANDLER(xlat)
{
    uint64_t linear = xlat_linear(cpu, op);
    REG8(cpu, 0) = load8(cpu, op, linear);
    NEXT;
}

/* 0x90 is NOP and PAUSE: it does not clear the upper half of RAX as the pattern would have it. */
HANDLER(xchg_90)
{
    if (op->rm != op->reg) {
        uint64_t other = reg_get(cpu, op->rm, op->size);
        reg_set(cpu, op->rm, op->size, reg_get(cpu, op->reg, op->size));
        reg_set(cpu, op->reg, op->size, other);
    }
    NEXT;
}

HANDLER(nop)
{
    NEXT;
}

/* ------------------------------------------------------------------ table */

#define NO_8(fn)                                                                                   \
    {                                                                                              \
        NULL, fn##_16, fn##_32, fn##_64                                                            \
    }
#define CMOV_ENTRY(cc, code_)                                                                      \
    {.name = "cmov" #cc,                                                                           \
            .map = MAP_0F,                                                                         \
            .code = 0x40 + code_,                                                                  \
            .form = FORM_GR,                                                                       \
            .size = SIZE_V,                                                                        \
            .reg = NO_8(cmov##cc##_r),                                                             \
            .mem = NO_8(cmov##cc##_m)},
#define SET_ENTRY(cc, code_)                                                                       \
    {.name = "set" #cc,                                                                            \
            .map = MAP_0F,                                                                         \
            .code = 0x90 + code_,                                                                  \
            .form = FORM_E,                                                                        \
            .size = SIZE_B,                                                                        \
            .attr = AT_WRITES,                                                                     \
            .reg = {set##cc##_r},                                                                  \
            .mem = {set##cc##_m}},

/* clang-format off */
static const struct opcode table[] = {
    {.name = "mov", .code = 0x88, .form = FORM_EG, .size = SIZE_B, .attr = AT_WRITES, .reg = BY_SIZE(mov_rr), .mem = BY_SIZE(mov_mr)},
    {.name = "mov", .code = 0x89, .form = FORM_EG, .size = SIZE_V, .attr = AT_WRITES, .reg = BY_SIZE(mov_rr), .mem = BY_SIZE(mov_mr)},
    {.name = "mov", .code = 0x8a, .form = FORM_GE, .size = SIZE_B, .reg = BY_SIZE(mov_rr), .mem = BY_SIZE(mov_rm)},
    {.name = "mov", .code = 0x8b, .form = FORM_GE, .size = SIZE_V, .reg = BY_SIZE(mov_rr), .mem = BY_SIZE(mov_rm)},
    {.name = "mov", .code = 0xb0, .span = 8, .form = FORM_OI, .size = SIZE_B, .reg = BY_SIZE(mov_ri)},
    {.name = "mov", .code = 0xb8, .span = 8, .form = FORM_OI, .size = SIZE_V, .reg = BY_SIZE(mov_ri)},
    {.name = "mov", .code = 0xc6, .ext = EXT(0), .form = FORM_EIB, .size = SIZE_B, .attr = AT_WRITES, .reg = BY_SIZE(mov_ri), .mem = BY_SIZE(mov_mi)},
    {.name = "mov", .code = 0xc7, .ext = EXT(0), .form = FORM_EIZ, .size = SIZE_V, .attr = AT_WRITES, .reg = BY_SIZE(mov_ri), .mem = BY_SIZE(mov_mi)},
    {.name = "mov", .code = 0xa0, .form = FORM_MOFFS, .size = SIZE_B, .reg = ALL(mov_from_offset)},
    {.name = "mov", .code = 0xa1, .form = FORM_MOFFS, .size = SIZE_V, .reg = ALL(mov_from_offset)},
    {.name = "mov", .code = 0xa2, .form = FORM_MOFFS, .size = SIZE_B, .reg = ALL(mov_to_offset)},
    {.name = "mov", .code = 0xa3, .form = FORM_MOFFS, .size = SIZE_V, .reg = ALL(mov_to_offset)},
    {.name = "movnti", .map = MAP_0F, .code = 0xc3, .prefix = PREFIX_NONE, .form = FORM_EG, .size = SIZE_Y, .attr = AT_WRITES | AT_MEM, .mem = BY_SIZE(mov_mr)},
    {.name = "lea", .code = 0x8d, .form = FORM_GR, .size = SIZE_V, .attr = AT_MEM, .mem = NO_8(lea)},
    {.name = "xchg", .code = 0x86, .form = FORM_EG, .size = SIZE_B, .attr = AT_LOCK | AT_WRITES, .reg = BY_SIZE(xchg_rr), .mem = BY_SIZE(xchg_mr)},
    {.name = "xchg", .code = 0x87, .form = FORM_EG, .size = SIZE_V, .attr = AT_LOCK | AT_WRITES, .reg = BY_SIZE(xchg_rr), .mem = BY_SIZE(xchg_mr)},
    {.name = "xchg", .code = 0x91, .span = 7, .form = FORM_OA, .size = SIZE_V, .reg = BY_SIZE(xchg_rr)},
    {.name = "xchg", .code = 0x90, .form = FORM_OA, .size = SIZE_V, .reg = ALL(xchg_90)},
    {.name = "movzx", .map = MAP_0F, .code = 0xb6, .form = FORM_GR, .size = SIZE_V, .attr = AT_RM8, .reg = NO_8(movzxb_r), .mem = NO_8(movzxb_m)},
    {.name = "movzx", .map = MAP_0F, .code = 0xb7, .form = FORM_GR, .size = SIZE_V, .attr = AT_RM16, .reg = NO_8(movzxw_r), .mem = NO_8(movzxw_m)},
    {.name = "movsx", .map = MAP_0F, .code = 0xbe, .form = FORM_GR, .size = SIZE_V, .attr = AT_RM8, .reg = NO_8(movsxb_r), .mem = NO_8(movsxb_m)},
    {.name = "movsx", .map = MAP_0F, .code = 0xbf, .form = FORM_GR, .size = SIZE_V, .attr = AT_RM16, .reg = NO_8(movsxw_r), .mem = NO_8(movsxw_m)},
    {.name = "movsxd", .code = 0x63, .form = FORM_GR, .size = SIZE_V, .attr = AT_ONLY64, .reg = {NULL, movsxd_r_16, movsxd_r_32, movsxd_r_64}, .mem = {NULL, movsxd_m_16, mov_rm_32, movsxd_m_64}, .bytes = 4},
    {.name = "cbw", .code = 0x98, .size = SIZE_V, .reg = {NULL, cbw, cwde, cdqe}},
    {.name = "cwd", .code = 0x99, .size = SIZE_V, .reg = {NULL, cwd, cdq, cqo}},
    CONDITIONS(CMOV_ENTRY)
    CONDITIONS(SET_ENTRY)
    {.name = "bswap", .map = MAP_0F, .code = 0xc8, .span = 8, .form = FORM_O, .size = SIZE_V, .reg = ALL(bswap)},
    {.name = "movbe", .map = MAP_0F38, .code = 0xf0, .prefix = PREFIX_NONE, .form = FORM_GR, .size = SIZE_V, .attr = AT_MEM, .mem = ALL(movbe_load)},
    {.name = "movbe", .map = MAP_0F38, .code = 0xf0, .prefix = PREFIX_66, .form = FORM_GR, .size = SIZE_V, .attr = AT_MEM, .mem = ALL(movbe_load)},
    {.name = "movbe", .map = MAP_0F38, .code = 0xf1, .prefix = PREFIX_NONE, .form = FORM_GR, .size = SIZE_V, .attr = AT_MEM | AT_WRITES, .mem = ALL(movbe_store)},
    {.name = "movbe", .map = MAP_0F38, .code = 0xf1, .prefix = PREFIX_66, .form = FORM_GR, .size = SIZE_V, .attr = AT_MEM | AT_WRITES, .mem = ALL(movbe_store)},
    {.name = "xlat", .code = 0xd7, .reg = ALL(xlat)},
    {.name = "nop", .map = MAP_0F, .code = 0x0d, .form = FORM_E, .size = SIZE_V, .attr = AT_MEM, .mem = ALL(nop)},
    {.name = "nop", .map = MAP_0F, .code = 0x18, .span = 8, .form = FORM_E, .size = SIZE_V, .reg = ALL(nop), .mem = ALL(nop)},
};
/* clang-format on */

const struct opcode_list move_opcodes = {table, sizeof(table) / sizeof(table[0])};
