#include "cpu/flags.h"
#include "cpu/segment.h"
#include "cpu/sse.h"
#include "cpu/x87.h"

/*
 * MMX: its registers are the x87's significands. An instruction takes the x87 state to memory,
 * where the registers are rotated so that MM0 is ST(0), works on those eight bytes with the same
 * instruction of the host, and leaves tags and top of stack as the hardware does.
 */

static uint64_t mm_get(const struct cpu *cpu, unsigned reg)
{
    uint64_t value;
    memcpy(&value, cpu->x87.st[reg & 7], 8);
    return value;
}

/* A write sets the exponent to all ones. */
static void mm_set(struct cpu *cpu, unsigned reg, uint64_t value)
{
    uint16_t ones = 0xffff;
    memcpy(cpu->x87.st[reg & 7], &value, 8);
    memcpy(cpu->x87.st[reg & 7] + 8, &ones, 2);
}

/* Before any MMX instruction: exceptions, then memory holds the registers by number. What can still
 * fault comes between this and mmx_enter(). */
static void mmx_check(struct cpu *cpu, const struct op *op)
{
    cpu->op = op;
    if (cpu->cr0 & CR0_EM)
        cpu_fault(cpu, VEC_UD);
    x87_begin(cpu, op, true);
    fp_store_x87(cpu);
}

static void mmx_enter(struct cpu *cpu)
{
    if (cpu->x87.sw & 0x3800u)
        x87_rotate(cpu);
    cpu->x87.tw = 0xffff0000u;
}

/* The register's value before mmx_enter() has run. */
static uint64_t mm_peek(const struct cpu *cpu, unsigned reg)
{
    return mm_get(cpu, (reg - ((cpu->x87.sw >> 11) & 7)) & 7);
}

static uint64_t operand_m(struct cpu *cpu, const struct op *op, unsigned bytes)
{
    return mem_load_value(cpu, op, ea(cpu, op), bytes);
}

/* ------------------------------------------------------------------ mm = insn(mm, mm/m) */

#define MMX(name, map_, code_, bytes_)                                                             \
    static const struct op *name##_do(struct cpu *cpu, const struct op *op, uint64_t b)            \
    {                                                                                              \
        mmx_enter(cpu);                                                                            \
        uint64_t a = mm_get(cpu, op->reg);                                                         \
        __asm__ volatile("movq %[a], %%mm0\n\t" #name " %[b], %%mm0\n\tmovq %%mm0, %[a]\n\temms"   \
                         : [a] "+m"(a)                                                             \
                         : [b] "m"(b));                                                            \
        mm_set(cpu, op->reg, a);                                                                   \
        return op + 1;                                                                             \
    }                                                                                              \
    HANDLER(name##_r)                                                                              \
    {                                                                                              \
        mmx_check(cpu, op);                                                                        \
        return name##_do(cpu, op, mm_peek(cpu, op->rm));                                           \
    }                                                                                              \
    HANDLER(name##_m)                                                                              \
    {                                                                                              \
        mmx_check(cpu, op);                                                                        \
        return name##_do(cpu, op, operand_m(cpu, op, bytes_));                                     \
    }

/* X(name, map, code, bytes of a memory operand) */
#define LIST(X)                                                                                    \
    X(punpcklbw, MAP_0F, 0x60, 4)                                                                  \
    X(punpcklwd, MAP_0F, 0x61, 4)                                                                  \
    X(punpckldq, MAP_0F, 0x62, 4)                                                                  \
    X(packsswb, MAP_0F, 0x63, 8)                                                                   \
    X(pcmpgtb, MAP_0F, 0x64, 8)                                                                    \
    X(pcmpgtw, MAP_0F, 0x65, 8)                                                                    \
    X(pcmpgtd, MAP_0F, 0x66, 8)                                                                    \
    X(packuswb, MAP_0F, 0x67, 8)                                                                   \
    X(punpckhbw, MAP_0F, 0x68, 8)                                                                  \
    X(punpckhwd, MAP_0F, 0x69, 8)                                                                  \
    X(punpckhdq, MAP_0F, 0x6a, 8)                                                                  \
    X(packssdw, MAP_0F, 0x6b, 8)                                                                   \
    X(pcmpeqb, MAP_0F, 0x74, 8)                                                                    \
    X(pcmpeqw, MAP_0F, 0x75, 8)                                                                    \
    X(pcmpeqd, MAP_0F, 0x76, 8)                                                                    \
    X(psrlw, MAP_0F, 0xd1, 8)                                                                      \
    X(psrld, MAP_0F, 0xd2, 8)                                                                      \
    X(psrlq, MAP_0F, 0xd3, 8)                                                                      \
    X(paddq, MAP_0F, 0xd4, 8)                                                                      \
    X(pmullw, MAP_0F, 0xd5, 8)                                                                     \
    X(psubusb, MAP_0F, 0xd8, 8)                                                                    \
    X(psubusw, MAP_0F, 0xd9, 8)                                                                    \
    X(pminub, MAP_0F, 0xda, 8)                                                                     \
    X(pand, MAP_0F, 0xdb, 8)                                                                       \
    X(paddusb, MAP_0F, 0xdc, 8)                                                                    \
    X(paddusw, MAP_0F, 0xdd, 8)                                                                    \
    X(pmaxub, MAP_0F, 0xde, 8)                                                                     \
    X(pandn, MAP_0F, 0xdf, 8)                                                                      \
    X(pavgb, MAP_0F, 0xe0, 8)                                                                      \
    X(psraw, MAP_0F, 0xe1, 8)                                                                      \
    X(psrad, MAP_0F, 0xe2, 8)                                                                      \
    X(pavgw, MAP_0F, 0xe3, 8)                                                                      \
    X(pmulhuw, MAP_0F, 0xe4, 8)                                                                    \
    X(pmulhw, MAP_0F, 0xe5, 8)                                                                     \
    X(psubsb, MAP_0F, 0xe8, 8)                                                                     \
    X(psubsw, MAP_0F, 0xe9, 8)                                                                     \
    X(pminsw, MAP_0F, 0xea, 8)                                                                     \
    X(por, MAP_0F, 0xeb, 8)                                                                        \
    X(paddsb, MAP_0F, 0xec, 8)                                                                     \
    X(paddsw, MAP_0F, 0xed, 8)                                                                     \
    X(pmaxsw, MAP_0F, 0xee, 8)                                                                     \
    X(pxor, MAP_0F, 0xef, 8)                                                                       \
    X(psllw, MAP_0F, 0xf1, 8)                                                                      \
    X(pslld, MAP_0F, 0xf2, 8)                                                                      \
    X(psllq, MAP_0F, 0xf3, 8)                                                                      \
    X(pmuludq, MAP_0F, 0xf4, 8)                                                                    \
    X(pmaddwd, MAP_0F, 0xf5, 8)                                                                    \
    X(psadbw, MAP_0F, 0xf6, 8)                                                                     \
    X(psubb, MAP_0F, 0xf8, 8)                                                                      \
    X(psubw, MAP_0F, 0xf9, 8)                                                                      \
    X(psubd, MAP_0F, 0xfa, 8)                                                                      \
    X(psubq, MAP_0F, 0xfb, 8)                                                                      \
    X(paddb, MAP_0F, 0xfc, 8)                                                                      \
    X(paddw, MAP_0F, 0xfd, 8)                                                                      \
    X(paddd, MAP_0F, 0xfe, 8)                                                                      \
    X(pshufb, MAP_0F38, 0x00, 8)                                                                   \
    X(phaddw, MAP_0F38, 0x01, 8)                                                                   \
    X(phaddd, MAP_0F38, 0x02, 8)                                                                   \
    X(phaddsw, MAP_0F38, 0x03, 8)                                                                  \
    X(pmaddubsw, MAP_0F38, 0x04, 8)                                                                \
    X(phsubw, MAP_0F38, 0x05, 8)                                                                   \
    X(phsubd, MAP_0F38, 0x06, 8)                                                                   \
    X(phsubsw, MAP_0F38, 0x07, 8)                                                                  \
    X(psignb, MAP_0F38, 0x08, 8)                                                                   \
    X(psignw, MAP_0F38, 0x09, 8)                                                                   \
    X(psignd, MAP_0F38, 0x0a, 8)                                                                   \
    X(pmulhrsw, MAP_0F38, 0x0b, 8)                                                                 \
    X(pabsb, MAP_0F38, 0x1c, 8)                                                                    \
    X(pabsw, MAP_0F38, 0x1d, 8)                                                                    \
    X(pabsd, MAP_0F38, 0x1e, 8)

LIST(MMX)

/* ------------------------------------------------------------------ with an immediate */

#define THUNKS(name)                                                                               \
    __asm__(".text\n"                                                                              \
            ".balign 16\n" #name "_mmx_thunks:\n"                                                  \
            ".set mmx_immediate, 0\n"                                                              \
            ".rept 256\n" #name " $mmx_immediate, %mm1, %mm0\n"                                    \
            "ret\n"                                                                                \
            ".balign 8\n"                                                                          \
            ".set mmx_immediate, mmx_immediate + 1\n"                                              \
            ".endr\n");                                                                            \
    extern const char name##_mmx_thunks[] __attribute__((visibility("hidden")));
THUNKS(pshufw)
THUNKS(palignr)

static const struct op *thunk_do(
        struct cpu *cpu, const struct op *op, uint64_t b, const char *thunks)
{
    const char *thunk = thunks + (op->imm & 255) * 8;
    mmx_enter(cpu);
    uint64_t a = mm_get(cpu, op->reg);
    __asm__ volatile("movq %[a], %%mm0\n\tmovq %[b], %%mm1\n\tleaq -128(%%rsp), %%rsp\n\t"
                     "call *%[thunk]\n\tleaq 128(%%rsp), %%rsp\n\tmovq %%mm0, %[a]\n\temms"
                     : [a] "+r"(a)
                     : [b] "r"(b), [thunk] "r"(thunk)
                     : "memory");
    mm_set(cpu, op->reg, a);
    return op + 1;
}

#define WITH_IMMEDIATE(name)                                                                       \
    HANDLER(name##_r)                                                                              \
    {                                                                                              \
        mmx_check(cpu, op);                                                                        \
        return thunk_do(cpu, op, mm_peek(cpu, op->rm), name##_mmx_thunks);                         \
    }                                                                                              \
    HANDLER(name##_m)                                                                              \
    {                                                                                              \
        mmx_check(cpu, op);                                                                        \
        return thunk_do(cpu, op, operand_m(cpu, op, 8), name##_mmx_thunks);                        \
    }
WITH_IMMEDIATE(pshufw)
WITH_IMMEDIATE(palignr)

#define SHIFT(name)                                                                                \
    HANDLER(name##_i)                                                                              \
    {                                                                                              \
        uint64_t count = op->imm;                                                                  \
        mmx_check(cpu, op);                                                                        \
        mmx_enter(cpu);                                                                            \
        uint64_t a = mm_get(cpu, op->rm);                                                          \
        __asm__ volatile("movq %[a], %%mm0\n\t" #name " %[b], %%mm0\n\tmovq %%mm0, %[a]\n\temms"   \
                         : [a] "+m"(a)                                                             \
                         : [b] "m"(count));                                                        \
        mm_set(cpu, op->rm, a);                                                                    \
        return op + 1;                                                                             \
    }
SHIFT(psrlw)
SHIFT(psraw)
SHIFT(psllw)
SHIFT(psrld)
SHIFT(psrad)
SHIFT(pslld)
SHIFT(psrlq)
SHIFT(psllq)

/* ------------------------------------------------------------------ moves */

static const struct op *set_register(
        struct cpu *cpu, const struct op *op, unsigned reg, uint64_t value)
{
    mmx_enter(cpu);
    mm_set(cpu, reg, value);
    return op + 1;
}

HANDLER(mov_r)
{
    mmx_check(cpu, op);
    return set_register(cpu, op, op->reg, mm_peek(cpu, op->rm));
}

HANDLER(mov_r_back)
{
    mmx_check(cpu, op);
    return set_register(cpu, op, op->rm, mm_peek(cpu, op->reg));
}

HANDLER(mov_load)
{
    mmx_check(cpu, op);
    return set_register(cpu, op, op->reg, operand_m(cpu, op, 8));
}

HANDLER(mov_store)
{
    mmx_check(cpu, op);
    store64(cpu, op, ea(cpu, op), mm_peek(cpu, op->reg));
    mmx_enter(cpu);
    return op + 1;
}

HANDLER(movd_from_general)
{
    mmx_check(cpu, op);
    return set_register(cpu, op, op->reg, reg_get(cpu, op->rm, op->size));
}

HANDLER(movd_load)
{
    mmx_check(cpu, op);
    return set_register(cpu, op, op->reg, operand_m(cpu, op, 1u << op->size));
}

HANDLER(movd_to_general)
{
    mmx_check(cpu, op);
    mmx_enter(cpu);
    reg_set(cpu, op->rm, op->size, mm_get(cpu, op->reg));
    return op + 1;
}

HANDLER(movd_store)
{
    mmx_check(cpu, op);
    mem_store_value(cpu, op, ea(cpu, op), mm_peek(cpu, op->reg), 1u << op->size);
    mmx_enter(cpu);
    return op + 1;
}

HANDLER(pmovmskb)
{
    uint32_t mask = 0;
    mmx_check(cpu, op);
    mmx_enter(cpu);
    uint64_t value = mm_get(cpu, op->rm);
    for (unsigned i = 0; i < 8; i++)
        mask |= (uint32_t)((value >> (i * 8 + 7)) & 1) << i;
    cpu->regs[op->reg / 8] = mask;
    return op + 1;
}

static uint64_t insert_word(uint64_t value, uint64_t word, unsigned index)
{
    unsigned shift = (index & 3) * 16;
    return (value & ~(0xffffull << shift)) | (word & 0xffff) << shift;
}

HANDLER(pinsrw_r)
{
    mmx_check(cpu, op);
    uint64_t value = insert_word(mm_peek(cpu, op->reg), REG64(cpu, op->rm), (unsigned)op->imm);
    return set_register(cpu, op, op->reg, value);
}

HANDLER(pinsrw_m)
{
    mmx_check(cpu, op);
    uint64_t word = operand_m(cpu, op, 2);
    uint64_t value = insert_word(mm_peek(cpu, op->reg), word, (unsigned)op->imm);
    return set_register(cpu, op, op->reg, value);
}

HANDLER(pextrw)
{
    mmx_check(cpu, op);
    mmx_enter(cpu);
    cpu->regs[op->reg / 8] = (mm_get(cpu, op->rm) >> (op->imm & 3) * 16) & 0xffff;
    return op + 1;
}

HANDLER(maskmovq)
{
    mmx_check(cpu, op);
    mmx_enter(cpu);
    uint64_t data = mm_get(cpu, op->reg), mask = mm_get(cpu, op->rm);
    mask_store(cpu, op, (const uint8_t *)&data, (const uint8_t *)&mask, 8);
    return op + 1;
}

HANDLER(movq2dq)
{
    sse_check(cpu, op);
    mmx_check(cpu, op);
    mmx_enter(cpu);
    cpu->xmm[op->reg] = (struct xmm){{mm_get(cpu, op->rm), 0}};
    return op + 1;
}

HANDLER(movdq2q)
{
    sse_check(cpu, op);
    mmx_check(cpu, op);
    return set_register(cpu, op, op->reg, cpu->xmm[op->rm].q[0]);
}

HANDLER(emms)
{
    mmx_check(cpu, op);
    mmx_enter(cpu);
    cpu->x87.tw = 0xffffffffu;
    return op + 1;
}

/* ------------------------------------------------------------------ conversions */

/* mm = insn(xmm/m), under MXCSR. */
#define TO_MMX(name, bytes_)                                                                       \
    static const struct op *name##_do(struct cpu *cpu, const struct op *op, vec b)                 \
    {                                                                                              \
        uint64_t a;                                                                                \
        mmx_enter(cpu);                                                                            \
        sse_begin(cpu);                                                                            \
        __asm__ volatile(#name " %[b], %%mm0\n\tmovq %%mm0, %[a]\n\temms"                          \
                         : [a] "=m"(a)                                                             \
                         : [b] "x"(b)                                                              \
                         : "memory");                                                              \
        sse_end(cpu, op, b, 0, 0);                                                                 \
        return set_register(cpu, op, op->reg, a);                                                  \
    }                                                                                              \
    HANDLER(name##_r)                                                                              \
    {                                                                                              \
        sse_check(cpu, op);                                                                        \
        mmx_check(cpu, op);                                                                        \
        return name##_do(cpu, op, XMM(op->rm));                                                    \
    }                                                                                              \
    HANDLER(name##_m)                                                                              \
    {                                                                                              \
        sse_check(cpu, op);                                                                        \
        mmx_check(cpu, op);                                                                        \
        return name##_do(cpu, op, sse_operand(cpu, op, bytes_));                                   \
    }
TO_MMX(cvtps2pi, 8)
TO_MMX(cvttps2pi, 8)
TO_MMX(cvtpd2pi, 16)
TO_MMX(cvttpd2pi, 16)

/* xmm = insn(mm/m). With memory they do not touch the x87 state. */
#define FROM_MMX(name)                                                                             \
    static const struct op *name##_do(struct cpu *cpu, const struct op *op, uint64_t b)            \
    {                                                                                              \
        vec a = XMM(op->reg);                                                                      \
        sse_begin(cpu);                                                                            \
        __asm__ volatile(#name " %[b], %[a]" : [a] "+x"(a) : [b] "m"(b) : "memory");               \
        sse_end(cpu, op, a, 0, 0);                                                                 \
        XMM(op->reg) = a;                                                                          \
        return op + 1;                                                                             \
    }                                                                                              \
    HANDLER(name##_r)                                                                              \
    {                                                                                              \
        sse_check(cpu, op);                                                                        \
        mmx_check(cpu, op);                                                                        \
        mmx_enter(cpu);                                                                            \
        return name##_do(cpu, op, mm_get(cpu, op->rm));                                            \
    }                                                                                              \
    HANDLER(name##_m)                                                                              \
    {                                                                                              \
        sse_check(cpu, op);                                                                        \
        uint64_t b = operand_m(cpu, op, 8);                                                        \
        return name##_do(cpu, op, b);                                                              \
    }
FROM_MMX(cvtpi2ps)
FROM_MMX(cvtpi2pd)

/* ------------------------------------------------------------------ table */

#define LIST_ENTRY(name_, map_, code_, bytes_)                                                     \
    {.name = #name_,                                                                               \
            .map = map_,                                                                           \
            .code = code_,                                                                         \
            .prefix = PREFIX_NONE,                                                                 \
            .form = FORM_PQ,                                                                       \
            .bytes = bytes_,                                                                       \
            .reg = ALL(name_##_r),                                                                 \
            .mem = ALL(name_##_m)},
#define ENTRY(text, map_, pfx, code_, form_, size_, bytes_, attr_, r, m)                           \
    {                                                                                              \
        .name = text, .map = map_, .code = code_, .prefix = pfx, .form = form_, .size = size_,     \
        .bytes = bytes_, .attr = attr_, .reg = ALL(r), .mem = ALL(m)                               \
    }
#define SHIFT_ENTRY(text, code_, n, fn)                                                            \
    {                                                                                              \
        .name = text, .map = MAP_0F, .code = code_, .prefix = PREFIX_NONE, .ext = EXT(n),          \
        .form = FORM_QI, .attr = AT_REG, .reg = ALL(fn)                                            \
    }

/* clang-format off */
static const struct opcode table[] = {
    LIST(LIST_ENTRY)
    ENTRY("pshufw", MAP_0F, PREFIX_NONE, 0x70, FORM_PQI, SIZE_B, 8, 0, pshufw_r, pshufw_m),
    ENTRY("palignr", MAP_0F3A, PREFIX_NONE, 0x0f, FORM_PQI, SIZE_B, 8, 0, palignr_r, palignr_m),
    SHIFT_ENTRY("psrlw", 0x71, 2, psrlw_i),
    SHIFT_ENTRY("psraw", 0x71, 4, psraw_i),
    SHIFT_ENTRY("psllw", 0x71, 6, psllw_i),
    SHIFT_ENTRY("psrld", 0x72, 2, psrld_i),
    SHIFT_ENTRY("psrad", 0x72, 4, psrad_i),
    SHIFT_ENTRY("pslld", 0x72, 6, pslld_i),
    SHIFT_ENTRY("psrlq", 0x73, 2, psrlq_i),
    SHIFT_ENTRY("psllq", 0x73, 6, psllq_i),
    ENTRY("movq", MAP_0F, PREFIX_NONE, 0x6f, FORM_PQ, SIZE_B, 8, 0, mov_r, mov_load),
    ENTRY("movq", MAP_0F, PREFIX_NONE, 0x7f, FORM_PQ, SIZE_B, 8, AT_WRITES, mov_r_back, mov_store),
    ENTRY("movntq", MAP_0F, PREFIX_NONE, 0xe7, FORM_PQ, SIZE_B, 8, AT_MEM | AT_WRITES, mov_store, mov_store),
    ENTRY("movd", MAP_0F, PREFIX_NONE, 0x6e, FORM_PE, SIZE_Y, 0, 0, movd_from_general, movd_load),
    ENTRY("movd", MAP_0F, PREFIX_NONE, 0x7e, FORM_PE, SIZE_Y, 0, AT_WRITES, movd_to_general, movd_store),
    ENTRY("pmovmskb", MAP_0F, PREFIX_NONE, 0xd7, FORM_GQ, SIZE_Y, 0, AT_REG, pmovmskb, pmovmskb),
    ENTRY("pinsrw", MAP_0F, PREFIX_NONE, 0xc4, FORM_PEI, SIZE_Y, 2, 0, pinsrw_r, pinsrw_m),
    ENTRY("pextrw", MAP_0F, PREFIX_NONE, 0xc5, FORM_GQI, SIZE_Y, 0, AT_REG, pextrw, pextrw),
    ENTRY("maskmovq", MAP_0F, PREFIX_NONE, 0xf7, FORM_PQ, SIZE_B, 8, AT_REG, maskmovq, maskmovq),
    ENTRY("movq2dq", MAP_0F, PREFIX_F3, 0xd6, FORM_VQ, SIZE_B, 0, AT_REG, movq2dq, movq2dq),
    ENTRY("movdq2q", MAP_0F, PREFIX_F2, 0xd6, FORM_PW, SIZE_B, 0, AT_REG, movdq2q, movdq2q),
    ENTRY("cvtpi2ps", MAP_0F, PREFIX_NONE, 0x2a, FORM_VQ, SIZE_B, 8, 0, cvtpi2ps_r, cvtpi2ps_m),
    ENTRY("cvtpi2pd", MAP_0F, PREFIX_66, 0x2a, FORM_VQ, SIZE_B, 8, 0, cvtpi2pd_r, cvtpi2pd_m),
    ENTRY("cvttps2pi", MAP_0F, PREFIX_NONE, 0x2c, FORM_PW, SIZE_B, 8, 0, cvttps2pi_r, cvttps2pi_m),
    ENTRY("cvttpd2pi", MAP_0F, PREFIX_66, 0x2c, FORM_PW, SIZE_B, 16, 0, cvttpd2pi_r, cvttpd2pi_m),
    ENTRY("cvtps2pi", MAP_0F, PREFIX_NONE, 0x2d, FORM_PW, SIZE_B, 8, 0, cvtps2pi_r, cvtps2pi_m),
    ENTRY("cvtpd2pi", MAP_0F, PREFIX_66, 0x2d, FORM_PW, SIZE_B, 16, 0, cvtpd2pi_r, cvtpd2pi_m),
    {.name = "emms", .map = MAP_0F, .code = 0x77, .prefix = PREFIX_NONE, .reg = ALL(emms)},
};
/* clang-format on */

const struct opcode_list mmx_opcodes = {table, sizeof(table) / sizeof(table[0])};
