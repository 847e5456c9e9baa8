#include "cpu/flags.h"
#include "cpu/sse.h"

/*
 * SSE instructions with an immediate. The host needs it inside the instruction, so there is a thunk
 * for each of the 256, 8 bytes apart: xmm0 = insn(xmm0, xmm1, immediate).
 */
#define THUNKS(name)                                                                               \
    __asm__(".text\n"                                                                              \
            ".balign 16\n" #name "_thunks:\n"                                                      \
            ".set sse_immediate, 0\n"                                                              \
            ".rept 256\n" #name " $sse_immediate, %xmm1, %xmm0\n"                                  \
            "ret\n"                                                                                \
            ".balign 8\n"                                                                          \
            ".set sse_immediate, sse_immediate + 1\n"                                              \
            ".endr\n");                                                                            \
    extern const char name##_thunks[] __attribute__((visibility("hidden")));

/* X(name, prefix, map, code, bytes of a memory operand) */
#define PLAIN(X)                                                                                   \
    X(pshufd, PREFIX_66, MAP_0F, 0x70, 16)                                                         \
    X(pshufhw, PREFIX_F3, MAP_0F, 0x70, 16)                                                        \
    X(pshuflw, PREFIX_F2, MAP_0F, 0x70, 16)                                                        \
    X(shufps, PREFIX_NONE, MAP_0F, 0xc6, 16)                                                       \
    X(shufpd, PREFIX_66, MAP_0F, 0xc6, 16)                                                         \
    X(blendps, PREFIX_66, MAP_0F3A, 0x0c, 16)                                                      \
    X(blendpd, PREFIX_66, MAP_0F3A, 0x0d, 16)                                                      \
    X(pblendw, PREFIX_66, MAP_0F3A, 0x0e, 16)                                                      \
    X(palignr, PREFIX_66, MAP_0F3A, 0x0f, 16)                                                      \
    X(mpsadbw, PREFIX_66, MAP_0F3A, 0x42, 16)

/* Under MXCSR: X(name, prefix, map, code, bytes, lane, lanes) as in sse.c. */
#define FLOAT(X)                                                                                   \
    X(cmpps, PREFIX_NONE, MAP_0F, 0xc2, 16, 0, 0)                                                  \
    X(cmppd, PREFIX_66, MAP_0F, 0xc2, 16, 0, 0)                                                    \
    X(cmpss, PREFIX_F3, MAP_0F, 0xc2, 4, 0, 0)                                                     \
    X(cmpsd, PREFIX_F2, MAP_0F, 0xc2, 8, 0, 0)                                                     \
    X(roundps, PREFIX_66, MAP_0F3A, 0x08, 16, 0, 0)                                                \
    X(roundpd, PREFIX_66, MAP_0F3A, 0x09, 16, 0, 0)                                                \
    X(roundss, PREFIX_66, MAP_0F3A, 0x0a, 4, 0, 0)                                                 \
    X(roundsd, PREFIX_66, MAP_0F3A, 0x0b, 8, 0, 0)

/* The stack below is skipped because the compiler may keep values there. */
static inline vec call_thunk(const char *thunks, vec dst, vec src, uint64_t immediate)
{
    register vec a __asm__("xmm0") = dst;
    register vec b __asm__("xmm1") = src;
    const char *thunk = thunks + (immediate & 255) * 8;
    __asm__ volatile("leaq -128(%%rsp), %%rsp\n\tcall *%[thunk]\n\tleaq 128(%%rsp), %%rsp"
                     : "+x"(a)
                     : [thunk] "r"(thunk), "x"(b)
                     : "memory");
    return a;
}

#define PLAIN_HANDLERS(name, pfx, map_, code_, bytes_)                                             \
    THUNKS(name)                                                                                   \
    HANDLER(name##_r)                                                                              \
    {                                                                                              \
        sse_check(cpu, op);                                                                        \
        XMM(op->reg) = call_thunk(name##_thunks, XMM(op->reg), XMM(op->rm), op->imm);              \
        NEXT;                                                                                      \
    }                                                                                              \
    HANDLER(name##_m)                                                                              \
    {                                                                                              \
        sse_check(cpu, op);                                                                        \
        vec b = sse_operand(cpu, op, bytes_);                                                      \
        XMM(op->reg) = call_thunk(name##_thunks, XMM(op->reg), b, op->imm);                        \
        NEXT;                                                                                      \
    }
PLAIN(PLAIN_HANDLERS)

static const struct op *float_do(struct cpu *cpu, const struct op *op, vec b, const char *thunks,
        unsigned lane, unsigned lanes)
{
    sse_begin(cpu);
    vec a = call_thunk(thunks, XMM(op->reg), b, op->imm);
    sse_end(cpu, op, a, lane, lanes);
    XMM(op->reg) = a;
    return op + 1;
}

#define FLOAT_HANDLERS(name, pfx, map_, code_, bytes_, lane, lanes)                                \
    THUNKS(name)                                                                                   \
    HANDLER(name##_r)                                                                              \
    {                                                                                              \
        sse_check(cpu, op);                                                                        \
        return float_do(cpu, op, XMM(op->rm), name##_thunks, lane, lanes);                         \
    }                                                                                              \
    HANDLER(name##_m)                                                                              \
    {                                                                                              \
        sse_check(cpu, op);                                                                        \
        return float_do(cpu, op, sse_operand(cpu, op, bytes_), name##_thunks, lane, lanes);        \
    }
FLOAT(FLOAT_HANDLERS)

/*
 * DPPS and DPPD: products of the chosen elements, then their sum. With an exception unmasked each
 * of the steps may raise it, so they are done once more one by one to see.
 */
static vec choose(vec value, unsigned chosen, unsigned lane)
{
    uint8_t bytes[16];
    memcpy(bytes, &value, 16);
    for (unsigned i = 0; i < 16; i++)
        if (!(chosen >> (i / lane) & 1))
            bytes[i] = 0;
    memcpy(&value, bytes, 16);
    return value;
}

#define CHECKED(insn, a, b, lane, lanes)                                                           \
    do {                                                                                           \
        sse_begin(cpu);                                                                            \
        __asm__ volatile(insn " %[y], %[x]" : [x] "+x"(a) : [y] "x"(b) : "memory");                \
        sse_end(cpu, op, a, lane, lanes);                                                          \
    } while (0)

static void dpps_steps(struct cpu *cpu, const struct op *op, vec b)
{
    unsigned chosen = (unsigned)(op->imm >> 4) & 15;
    vec a = choose(XMM(op->reg), chosen, 4), c = choose(b, chosen, 4);
    CHECKED("mulps", a, c, 4, 4);
    CHECKED("haddps", a, a, 4, 2);
    CHECKED("haddps", a, a, 4, 1);
}

static void dppd_steps(struct cpu *cpu, const struct op *op, vec b)
{
    unsigned chosen = (unsigned)(op->imm >> 4) & 3;
    vec a = choose(XMM(op->reg), chosen, 8), c = choose(b, chosen, 8);
    CHECKED("mulpd", a, c, 8, 2);
    CHECKED("haddpd", a, a, 8, 1);
}

#define DOT(name, lane, lanes)                                                                     \
    THUNKS(name)                                                                                   \
    static const struct op *name##_do(struct cpu *cpu, const struct op *op, vec b)                 \
    {                                                                                              \
        if (unlikely(sse_unmasked(cpu)))                                                           \
            name##_steps(cpu, op, b);                                                              \
        return float_do(cpu, op, b, name##_thunks, lane, lanes);                                   \
    }                                                                                              \
    SSE_BOTH(name, sse_load(cpu, op))
DOT(dpps, 4, 1)
DOT(dppd, 8, 1)

/* INSERTPS takes one element of memory, or any of a register's. */
THUNKS(insertps)

HANDLER(insertps_r)
{
    sse_check(cpu, op);
    XMM(op->reg) = call_thunk(insertps_thunks, XMM(op->reg), XMM(op->rm), op->imm);
    NEXT;
}

HANDLER(insertps_m)
{
    sse_check(cpu, op);
    vec b = sse_load_any(cpu, op, 4);
    XMM(op->reg) = call_thunk(insertps_thunks, XMM(op->reg), b, op->imm & 0x3f);
    NEXT;
}

/* ------------------------------------------------------------------ string comparison */

struct string_result {
    vec mask;
    uint32_t index;
    uint16_t raw;
};

static struct string_result call_string(const char *thunks, vec dst, vec src, uint64_t immediate,
        uint32_t length_a, uint32_t length_b)
{
    register vec a __asm__("xmm0") = dst;
    register vec b __asm__("xmm1") = src;
    const char *thunk = thunks + (immediate & 255) * 8;
    uint64_t ax = length_a, cx = 0;
    __asm__ volatile("leaq -128(%%rsp), %%rsp\n\tcall *%[thunk]" FLAGS_OUT
                     "\n\tleaq 128(%%rsp), %%rsp"
                     : "+x"(a), "+&a"(ax), "+&c"(cx)
                     : [thunk] "r"(thunk), "x"(b), "d"(length_b)
                     : "memory", "cc");
    return (struct string_result){a, (uint32_t)cx, (uint16_t)ax};
}

/* Explicit lengths saturate at 16 whatever their size. */
static uint32_t string_length(const struct cpu *cpu, const struct op *op, unsigned reg)
{
    int64_t length = op->size == 3 ? (int64_t)cpu->regs[reg] : (int32_t)cpu->regs[reg];
    return length > 16 ? 16 : length < -16 ? (uint32_t)-16 : (uint32_t)length;
}

static const struct op *string_do(
        struct cpu *cpu, const struct op *op, vec b, const char *thunks, bool to_mask)
{
    struct string_result result = call_string(thunks, XMM(op->reg), b, op->imm,
            string_length(cpu, op, CPU_RAX), string_length(cpu, op, CPU_RDX));
    cpu->raw = result.raw;
    if (to_mask) /* the instruction's result is in XMM0, as the thunk's */
        XMM(0) = result.mask;
    else
        cpu->regs[CPU_RCX] = result.index;
    return op + 1;
}

#define STRING(name, to_mask)                                                                      \
    THUNKS(name)                                                                                   \
    HANDLER(name##_r)                                                                              \
    {                                                                                              \
        sse_check(cpu, op);                                                                        \
        return string_do(cpu, op, XMM(op->rm), name##_thunks, to_mask);                            \
    }                                                                                              \
    HANDLER(name##_m)                                                                              \
    {                                                                                              \
        sse_check(cpu, op);                                                                        \
        return string_do(cpu, op, sse_load_any(cpu, op, 16), name##_thunks, to_mask);              \
    }
STRING(pcmpestrm, true)
STRING(pcmpestri, false)
STRING(pcmpistrm, true)
STRING(pcmpistri, false)

/* ------------------------------------------------------------------ shifts by an immediate */

#define SHIFT(name)                                                                                \
    HANDLER(name##_i)                                                                              \
    {                                                                                              \
        vec a = XMM(op->rm), count = {(long long)op->imm, 0};                                      \
        sse_check(cpu, op);                                                                        \
        __asm__(#name " %[b], %[a]" : [a] "+x"(a) : [b] "x"(count));                               \
        XMM(op->rm) = a;                                                                           \
        NEXT;                                                                                      \
    }
SHIFT(psrlw)
SHIFT(psraw)
SHIFT(psllw)
SHIFT(psrld)
SHIFT(psrad)
SHIFT(pslld)
SHIFT(psrlq)
SHIFT(psllq)

HANDLER(psrldq)
{
    uint8_t bytes[32] = {0};
    unsigned count = op->imm < 16 ? (unsigned)op->imm : 16;
    sse_check(cpu, op);
    memcpy(bytes, &cpu->xmm[op->rm], 16);
    memcpy(&cpu->xmm[op->rm], bytes + count, 16);
    return op + 1;
}

HANDLER(pslldq)
{
    uint8_t bytes[32] = {0};
    unsigned count = op->imm < 16 ? (unsigned)op->imm : 16;
    sse_check(cpu, op);
    memcpy(bytes + 16, &cpu->xmm[op->rm], 16);
    memcpy(&cpu->xmm[op->rm], bytes + 16 - count, 16);
    return op + 1;
}

/* ------------------------------------------------------------------ single elements */

static uint64_t element_get(const struct cpu *cpu, unsigned reg, unsigned index, unsigned bytes)
{
    uint64_t value = 0;
    memcpy(&value, (const uint8_t *)&cpu->xmm[reg] + (index * bytes & 15), bytes);
    return value;
}

static void element_set(
        struct cpu *cpu, unsigned reg, unsigned index, unsigned bytes, uint64_t value)
{
    memcpy((uint8_t *)&cpu->xmm[reg] + (index * bytes & 15), &value, bytes);
}

#define ELEMENT(suffix, bytes_)                                                                    \
    HANDLER(pextr##suffix##_r)                                                                     \
    {                                                                                              \
        sse_check(cpu, op);                                                                        \
        cpu->regs[op->rm / 8] = element_get(cpu, op->reg, (unsigned)op->imm, bytes_);              \
        NEXT;                                                                                      \
    }                                                                                              \
    HANDLER(pextr##suffix##_m)                                                                     \
    {                                                                                              \
        sse_check(cpu, op);                                                                        \
        uint64_t value = element_get(cpu, op->reg, (unsigned)op->imm, bytes_);                     \
        mem_store_value(cpu, op, ea(cpu, op), value, bytes_);                                      \
        NEXT;                                                                                      \
    }                                                                                              \
    HANDLER(pinsr##suffix##_r)                                                                     \
    {                                                                                              \
        sse_check(cpu, op);                                                                        \
        element_set(cpu, op->reg, (unsigned)op->imm, bytes_, cpu->regs[op->rm / 8]);               \
        NEXT;                                                                                      \
    }                                                                                              \
    HANDLER(pinsr##suffix##_m)                                                                     \
    {                                                                                              \
        sse_check(cpu, op);                                                                        \
        uint64_t value = mem_load_value(cpu, op, ea(cpu, op), bytes_);                             \
        element_set(cpu, op->reg, (unsigned)op->imm, bytes_, value);                               \
        NEXT;                                                                                      \
    }
ELEMENT(b, 1)
ELEMENT(w, 2)
ELEMENT(d, 4)
ELEMENT(q, 8)

HANDLER(pextrw_g)
{
    sse_check(cpu, op);
    cpu->regs[op->reg / 8] = element_get(cpu, op->rm, (unsigned)op->imm, 2);
    NEXT;
}

/* ------------------------------------------------------------------ table */

#define VWI(text, map_, pfx, code_, fn, bytes_, size_)                                             \
    {                                                                                              \
        .name = text, .map = map_, .code = code_, .prefix = pfx, .form = FORM_VWI, .size = size_,  \
        .bytes = bytes_, .reg = ALL(fn##_r), .mem = ALL(fn##_m)                                    \
    }
#define PLAIN_ENTRY(fn, pfx, map_, code_, bytes_) VWI(#fn, map_, pfx, code_, fn, bytes_, SIZE_B),
#define FLOAT_ENTRY(fn, pfx, map_, code_, bytes_, lane, lanes)                                     \
    VWI(#fn, map_, pfx, code_, fn, bytes_, SIZE_B),
#define SHIFT_ENTRY(text, code_, n, fn)                                                            \
    {                                                                                              \
        .name = text, .map = MAP_0F, .code = code_, .prefix = PREFIX_66, .ext = EXT(n),            \
        .form = FORM_WI, .attr = AT_REG, .reg = ALL(fn)                                            \
    }
#define VEI(text, map_, code_, bytes_, attr_, ...)                                                 \
    {                                                                                              \
        .name = text, .map = map_, .code = code_, .prefix = PREFIX_66, .form = FORM_VEI,           \
        .size = SIZE_Y, .bytes = bytes_, .attr = attr_, __VA_ARGS__                                \
    }

/* clang-format off */
static const struct opcode table[] = {
    PLAIN(PLAIN_ENTRY)
    FLOAT(FLOAT_ENTRY)
    VWI("dpps", MAP_0F3A, PREFIX_66, 0x40, dpps, 16, SIZE_B),
    VWI("dppd", MAP_0F3A, PREFIX_66, 0x41, dppd, 16, SIZE_B),
    VWI("insertps", MAP_0F3A, PREFIX_66, 0x21, insertps, 4, SIZE_B),
    VWI("pcmpestrm", MAP_0F3A, PREFIX_66, 0x60, pcmpestrm, 16, SIZE_Y),
    VWI("pcmpestri", MAP_0F3A, PREFIX_66, 0x61, pcmpestri, 16, SIZE_Y),
    VWI("pcmpistrm", MAP_0F3A, PREFIX_66, 0x62, pcmpistrm, 16, SIZE_Y),
    VWI("pcmpistri", MAP_0F3A, PREFIX_66, 0x63, pcmpistri, 16, SIZE_Y),
    SHIFT_ENTRY("psrlw", 0x71, 2, psrlw_i),
    SHIFT_ENTRY("psraw", 0x71, 4, psraw_i),
    SHIFT_ENTRY("psllw", 0x71, 6, psllw_i),
    SHIFT_ENTRY("psrld", 0x72, 2, psrld_i),
    SHIFT_ENTRY("psrad", 0x72, 4, psrad_i),
    SHIFT_ENTRY("pslld", 0x72, 6, pslld_i),
    SHIFT_ENTRY("psrlq", 0x73, 2, psrlq_i),
    SHIFT_ENTRY("psrldq", 0x73, 3, psrldq),
    SHIFT_ENTRY("psllq", 0x73, 6, psllq_i),
    SHIFT_ENTRY("pslldq", 0x73, 7, pslldq),
    VEI("pextrb", MAP_0F3A, 0x14, 1, AT_WRITES, .reg = ALL(pextrb_r), .mem = ALL(pextrb_m)),
    VEI("pextrw", MAP_0F3A, 0x15, 2, AT_WRITES, .reg = ALL(pextrw_r), .mem = ALL(pextrw_m)),
    VEI("pextrd", MAP_0F3A, 0x16, 0, AT_WRITES, .reg = {NULL, NULL, pextrd_r, pextrq_r}, .mem = {NULL, NULL, pextrd_m, pextrq_m}),
    VEI("extractps", MAP_0F3A, 0x17, 4, AT_WRITES, .reg = ALL(pextrd_r), .mem = ALL(pextrd_m)),
    VEI("pinsrb", MAP_0F3A, 0x20, 1, 0, .reg = ALL(pinsrb_r), .mem = ALL(pinsrb_m)),
    VEI("pinsrd", MAP_0F3A, 0x22, 0, 0, .reg = {NULL, NULL, pinsrd_r, pinsrq_r}, .mem = {NULL, NULL, pinsrd_m, pinsrq_m}),
    VEI("pinsrw", MAP_0F, 0xc4, 2, 0, .reg = ALL(pinsrw_r), .mem = ALL(pinsrw_m)),
    {.name = "pextrw", .map = MAP_0F, .code = 0xc5, .prefix = PREFIX_66, .form = FORM_GWI, .size = SIZE_Y, .attr = AT_REG, .reg = ALL(pextrw_g)},
};
/* clang-format on */

const struct opcode_list sse_imm_opcodes = {table, sizeof(table) / sizeof(table[0])};
