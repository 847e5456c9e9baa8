#include "cpu/sse.h"

/* Conversions between XMM and general registers. */

/* Two arguments: an integer of 32 or 64 bits to an element of the XMM register. */
#define FROM_INTEGER(name, insn, bits, T, lane)                                                    \
    static const struct op *name##_do_##bits(struct cpu *cpu, const struct op *op, T b)            \
    {                                                                                              \
        vec a = XMM(op->reg);                                                                      \
        sse_begin(cpu);                                                                            \
        __asm__ volatile(insn " %[b], %[a]" : [a] "+x"(a) : [b] "r"(b) : "memory");                \
        sse_end(cpu, op, a, lane, 0);                                                              \
        XMM(op->reg) = a;                                                                          \
        NEXT;                                                                                      \
    }                                                                                              \
    HANDLER(name##_r_##bits)                                                                       \
    {                                                                                              \
        sse_check(cpu, op);                                                                        \
        return name##_do_##bits(cpu, op, REG##bits(cpu, op->rm));                                  \
    }                                                                                              \
    HANDLER(name##_m_##bits)                                                                       \
    {                                                                                              \
        sse_check(cpu, op);                                                                        \
        return name##_do_##bits(cpu, op, load##bits(cpu, op, ea(cpu, op)));                        \
    }
FROM_INTEGER(cvtsi2ss, "cvtsi2ssl", 32, uint32_t, 0)
FROM_INTEGER(cvtsi2ss, "cvtsi2ssq", 64, uint64_t, 0)
FROM_INTEGER(cvtsi2sd, "cvtsi2sdl", 32, uint32_t, 0)
FROM_INTEGER(cvtsi2sd, "cvtsi2sdq", 64, uint64_t, 0)

#define TO_INTEGER(name, bits, T, bytes)                                                           \
    static const struct op *name##_do_##bits(struct cpu *cpu, const struct op *op, vec b)          \
    {                                                                                              \
        T a;                                                                                       \
        sse_begin(cpu);                                                                            \
        __asm__ volatile(#name " %[b], %[a]" : [a] "=r"(a) : [b] "x"(b) : "memory");               \
        sse_end(cpu, op, b, 0, 0);                                                                 \
        REG64(cpu, op->reg) = a;                                                                   \
        NEXT;                                                                                      \
    }                                                                                              \
    HANDLER(name##_r_##bits)                                                                       \
    {                                                                                              \
        sse_check(cpu, op);                                                                        \
        return name##_do_##bits(cpu, op, XMM(op->rm));                                             \
    }                                                                                              \
    HANDLER(name##_m_##bits)                                                                       \
    {                                                                                              \
        sse_check(cpu, op);                                                                        \
        return name##_do_##bits(cpu, op, sse_load_any(cpu, op, bytes));                            \
    }
TO_INTEGER(cvttss2si, 32, uint32_t, 4)
TO_INTEGER(cvttss2si, 64, uint64_t, 4)
TO_INTEGER(cvttsd2si, 32, uint32_t, 8)
TO_INTEGER(cvttsd2si, 64, uint64_t, 8)
TO_INTEGER(cvtss2si, 32, uint32_t, 4)
TO_INTEGER(cvtss2si, 64, uint64_t, 4)
TO_INTEGER(cvtsd2si, 32, uint32_t, 8)
TO_INTEGER(cvtsd2si, 64, uint64_t, 8)

#define ENTRY(text, pfx, code_, fn, form_, bytes_)                                                 \
    {                                                                                              \
        .name = text, .map = MAP_0F, .code = code_, .prefix = pfx, .form = form_, .size = SIZE_Y,  \
        .bytes = bytes_, .reg = {NULL, NULL, fn##_r_32, fn##_r_64}, .mem = {                       \
            NULL,                                                                                  \
            NULL,                                                                                  \
            fn##_m_32,                                                                             \
            fn##_m_64                                                                              \
        }                                                                                          \
    }

/* clang-format off */
static const struct opcode table[] = {
    ENTRY("cvtsi2ss", PREFIX_F3, 0x2a, cvtsi2ss, FORM_VE, 0),
    ENTRY("cvtsi2sd", PREFIX_F2, 0x2a, cvtsi2sd, FORM_VE, 0),
    ENTRY("cvttss2si", PREFIX_F3, 0x2c, cvttss2si, FORM_GW, 4),
    ENTRY("cvttsd2si", PREFIX_F2, 0x2c, cvttsd2si, FORM_GW, 8),
    ENTRY("cvtss2si", PREFIX_F3, 0x2d, cvtss2si, FORM_GW, 4),
    ENTRY("cvtsd2si", PREFIX_F2, 0x2d, cvtsd2si, FORM_GW, 8),
};
/* clang-format on */

const struct opcode_list sse_convert_opcodes = {table, sizeof(table) / sizeof(table[0])};
