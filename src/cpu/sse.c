#include "cpu/sse.h"

#include <x86intrin.h>

#include "cpu/flags.h"

/* SSE to SSE4.2: instructions with two registers, or a register and memory, and no immediate. */

void sse_misaligned(struct cpu *cpu, const struct op *op)
{
    cpu->op = op;
    cpu_fault_code(cpu, VEC_GP, 0);
}

/* ------------------------------------------------------------------ unmasked exceptions */

#define FLAG_BITS 0x3fu
#define BEFORE_RESULT                                                                              \
    0x07u /* invalid, denormal, divide by zero: found before there is a result                     \
           */
#define UNDERFLOW 0x10u
#define FLUSH_TO_ZERO 0x8000u

static uint32_t unmasked(const struct cpu *cpu)
{
    return ~(cpu->mxcsr >> 7) & FLAG_BITS;
}

void sse_begin_slow(struct cpu *cpu)
{
    uint32_t known = fp_get_mxcsr(cpu); /* the host's flags so far are taken, and start anew */
    fp_load_mxcsr(cpu);
    if (!sse_unmasked(cpu))
        return;
    uint32_t during = (known | MXCSR_MASKS) & ~FLAG_BITS;
    if (unmasked(cpu) & UNDERFLOW)
        during &= ~FLUSH_TO_ZERO;
    _mm_setcsr(during);
}

/* An unmasked underflow is told for tiny results that are exact as well; the host, with it masked,
 * does not. */
static bool any_tiny(vec result, unsigned lane, unsigned lanes)
{
    uint64_t word[2];
    memcpy(word, &result, sizeof(word));
    for (unsigned i = 0; i < lanes; i++) {
        uint64_t value =
                lane == 8 ? word[i] & ~(1ull << 63) : (word[i / 2] >> (i % 2 * 32)) & 0x7fffffff;
        if (value && value < 1ull << (lane == 8 ? 52 : 23))
            return true;
    }
    return false;
}

void sse_end_slow(struct cpu *cpu, const struct op *op, vec result, unsigned lane, unsigned lanes)
{
    uint32_t raised = _mm_getcsr() & FLAG_BITS;
    if ((unmasked(cpu) & UNDERFLOW) && lane && any_tiny(result, lane, lanes))
        raised |= UNDERFLOW;
    if (raised & unmasked(cpu) & BEFORE_RESULT)
        raised &= BEFORE_RESULT;
    _mm_setcsr(cpu->host_mxcsr);
    cpu->mxcsr_live = false;
    cpu->mxcsr |= raised;
    if (!(raised & unmasked(cpu)))
        return;
    cpu->op = op;
    cpu_fault(cpu, cpu->cr4 & CR4_OSXMMEXCPT ? VEC_XM : VEC_UD);
}

/* ------------------------------------------------------------------ no exceptions */

/* X(name, prefix, map, code, bytes of a memory operand) */
#define PLAIN(X)                                                                                   \
    X(punpcklbw, PREFIX_66, MAP_0F, 0x60, 16)                                                      \
    X(punpcklwd, PREFIX_66, MAP_0F, 0x61, 16)                                                      \
    X(punpckldq, PREFIX_66, MAP_0F, 0x62, 16)                                                      \
    X(packsswb, PREFIX_66, MAP_0F, 0x63, 16)                                                       \
    X(pcmpgtb, PREFIX_66, MAP_0F, 0x64, 16)                                                        \
    X(pcmpgtw, PREFIX_66, MAP_0F, 0x65, 16)                                                        \
    X(pcmpgtd, PREFIX_66, MAP_0F, 0x66, 16)                                                        \
    X(packuswb, PREFIX_66, MAP_0F, 0x67, 16)                                                       \
    X(punpckhbw, PREFIX_66, MAP_0F, 0x68, 16)                                                      \
    X(punpckhwd, PREFIX_66, MAP_0F, 0x69, 16)                                                      \
    X(punpckhdq, PREFIX_66, MAP_0F, 0x6a, 16)                                                      \
    X(packssdw, PREFIX_66, MAP_0F, 0x6b, 16)                                                       \
    X(punpcklqdq, PREFIX_66, MAP_0F, 0x6c, 16)                                                     \
    X(punpckhqdq, PREFIX_66, MAP_0F, 0x6d, 16)                                                     \
    X(pcmpeqb, PREFIX_66, MAP_0F, 0x74, 16)                                                        \
    X(pcmpeqw, PREFIX_66, MAP_0F, 0x75, 16)                                                        \
    X(pcmpeqd, PREFIX_66, MAP_0F, 0x76, 16)                                                        \
    X(psrlw, PREFIX_66, MAP_0F, 0xd1, 16)                                                          \
    X(psrld, PREFIX_66, MAP_0F, 0xd2, 16)                                                          \
    X(psrlq, PREFIX_66, MAP_0F, 0xd3, 16)                                                          \
    X(paddq, PREFIX_66, MAP_0F, 0xd4, 16)                                                          \
    X(pmullw, PREFIX_66, MAP_0F, 0xd5, 16)                                                         \
    X(psubusb, PREFIX_66, MAP_0F, 0xd8, 16)                                                        \
    X(psubusw, PREFIX_66, MAP_0F, 0xd9, 16)                                                        \
    X(pminub, PREFIX_66, MAP_0F, 0xda, 16)                                                         \
    X(pand, PREFIX_66, MAP_0F, 0xdb, 16)                                                           \
    X(paddusb, PREFIX_66, MAP_0F, 0xdc, 16)                                                        \
    X(paddusw, PREFIX_66, MAP_0F, 0xdd, 16)                                                        \
    X(pmaxub, PREFIX_66, MAP_0F, 0xde, 16)                                                         \
    X(pandn, PREFIX_66, MAP_0F, 0xdf, 16)                                                          \
    X(pavgb, PREFIX_66, MAP_0F, 0xe0, 16)                                                          \
    X(psraw, PREFIX_66, MAP_0F, 0xe1, 16)                                                          \
    X(psrad, PREFIX_66, MAP_0F, 0xe2, 16)                                                          \
    X(pavgw, PREFIX_66, MAP_0F, 0xe3, 16)                                                          \
    X(pmulhuw, PREFIX_66, MAP_0F, 0xe4, 16)                                                        \
    X(pmulhw, PREFIX_66, MAP_0F, 0xe5, 16)                                                         \
    X(psubsb, PREFIX_66, MAP_0F, 0xe8, 16)                                                         \
    X(psubsw, PREFIX_66, MAP_0F, 0xe9, 16)                                                         \
    X(pminsw, PREFIX_66, MAP_0F, 0xea, 16)                                                         \
    X(por, PREFIX_66, MAP_0F, 0xeb, 16)                                                            \
    X(paddsb, PREFIX_66, MAP_0F, 0xec, 16)                                                         \
    X(paddsw, PREFIX_66, MAP_0F, 0xed, 16)                                                         \
    X(pmaxsw, PREFIX_66, MAP_0F, 0xee, 16)                                                         \
    X(pxor, PREFIX_66, MAP_0F, 0xef, 16)                                                           \
    X(psllw, PREFIX_66, MAP_0F, 0xf1, 16)                                                          \
    X(pslld, PREFIX_66, MAP_0F, 0xf2, 16)                                                          \
    X(psllq, PREFIX_66, MAP_0F, 0xf3, 16)                                                          \
    X(pmuludq, PREFIX_66, MAP_0F, 0xf4, 16)                                                        \
    X(pmaddwd, PREFIX_66, MAP_0F, 0xf5, 16)                                                        \
    X(psadbw, PREFIX_66, MAP_0F, 0xf6, 16)                                                         \
    X(psubb, PREFIX_66, MAP_0F, 0xf8, 16)                                                          \
    X(psubw, PREFIX_66, MAP_0F, 0xf9, 16)                                                          \
    X(psubd, PREFIX_66, MAP_0F, 0xfa, 16)                                                          \
    X(psubq, PREFIX_66, MAP_0F, 0xfb, 16)                                                          \
    X(paddb, PREFIX_66, MAP_0F, 0xfc, 16)                                                          \
    X(paddw, PREFIX_66, MAP_0F, 0xfd, 16)                                                          \
    X(paddd, PREFIX_66, MAP_0F, 0xfe, 16)                                                          \
    X(pshufb, PREFIX_66, MAP_0F38, 0x00, 16)                                                       \
    X(phaddw, PREFIX_66, MAP_0F38, 0x01, 16)                                                       \
    X(phaddd, PREFIX_66, MAP_0F38, 0x02, 16)                                                       \
    X(phaddsw, PREFIX_66, MAP_0F38, 0x03, 16)                                                      \
    X(pmaddubsw, PREFIX_66, MAP_0F38, 0x04, 16)                                                    \
    X(phsubw, PREFIX_66, MAP_0F38, 0x05, 16)                                                       \
    X(phsubd, PREFIX_66, MAP_0F38, 0x06, 16)                                                       \
    X(phsubsw, PREFIX_66, MAP_0F38, 0x07, 16)                                                      \
    X(psignb, PREFIX_66, MAP_0F38, 0x08, 16)                                                       \
    X(psignw, PREFIX_66, MAP_0F38, 0x09, 16)                                                       \
    X(psignd, PREFIX_66, MAP_0F38, 0x0a, 16)                                                       \
    X(pmulhrsw, PREFIX_66, MAP_0F38, 0x0b, 16)                                                     \
    X(pabsb, PREFIX_66, MAP_0F38, 0x1c, 16)                                                        \
    X(pabsw, PREFIX_66, MAP_0F38, 0x1d, 16)                                                        \
    X(pabsd, PREFIX_66, MAP_0F38, 0x1e, 16)                                                        \
    X(pmuldq, PREFIX_66, MAP_0F38, 0x28, 16)                                                       \
    X(pcmpeqq, PREFIX_66, MAP_0F38, 0x29, 16)                                                      \
    X(packusdw, PREFIX_66, MAP_0F38, 0x2b, 16)                                                     \
    X(pcmpgtq, PREFIX_66, MAP_0F38, 0x37, 16)                                                      \
    X(pminsb, PREFIX_66, MAP_0F38, 0x38, 16)                                                       \
    X(pminsd, PREFIX_66, MAP_0F38, 0x39, 16)                                                       \
    X(pminuw, PREFIX_66, MAP_0F38, 0x3a, 16)                                                       \
    X(pminud, PREFIX_66, MAP_0F38, 0x3b, 16)                                                       \
    X(pmaxsb, PREFIX_66, MAP_0F38, 0x3c, 16)                                                       \
    X(pmaxsd, PREFIX_66, MAP_0F38, 0x3d, 16)                                                       \
    X(pmaxuw, PREFIX_66, MAP_0F38, 0x3e, 16)                                                       \
    X(pmaxud, PREFIX_66, MAP_0F38, 0x3f, 16)                                                       \
    X(pmulld, PREFIX_66, MAP_0F38, 0x40, 16)                                                       \
    X(phminposuw, PREFIX_66, MAP_0F38, 0x41, 16)                                                   \
    X(pmovsxbw, PREFIX_66, MAP_0F38, 0x20, 8)                                                      \
    X(pmovsxbd, PREFIX_66, MAP_0F38, 0x21, 4)                                                      \
    X(pmovsxbq, PREFIX_66, MAP_0F38, 0x22, 2)                                                      \
    X(pmovsxwd, PREFIX_66, MAP_0F38, 0x23, 8)                                                      \
    X(pmovsxwq, PREFIX_66, MAP_0F38, 0x24, 4)                                                      \
    X(pmovsxdq, PREFIX_66, MAP_0F38, 0x25, 8)                                                      \
    X(pmovzxbw, PREFIX_66, MAP_0F38, 0x30, 8)                                                      \
    X(pmovzxbd, PREFIX_66, MAP_0F38, 0x31, 4)                                                      \
    X(pmovzxbq, PREFIX_66, MAP_0F38, 0x32, 2)                                                      \
    X(pmovzxwd, PREFIX_66, MAP_0F38, 0x33, 8)                                                      \
    X(pmovzxwq, PREFIX_66, MAP_0F38, 0x34, 4)                                                      \
    X(pmovzxdq, PREFIX_66, MAP_0F38, 0x35, 8)                                                      \
    X(andps, PREFIX_NONE, MAP_0F, 0x54, 16)                                                        \
    X(andpd, PREFIX_66, MAP_0F, 0x54, 16)                                                          \
    X(andnps, PREFIX_NONE, MAP_0F, 0x55, 16)                                                       \
    X(andnpd, PREFIX_66, MAP_0F, 0x55, 16)                                                         \
    X(orps, PREFIX_NONE, MAP_0F, 0x56, 16)                                                         \
    X(orpd, PREFIX_66, MAP_0F, 0x56, 16)                                                           \
    X(xorps, PREFIX_NONE, MAP_0F, 0x57, 16)                                                        \
    X(xorpd, PREFIX_66, MAP_0F, 0x57, 16)                                                          \
    X(unpcklps, PREFIX_NONE, MAP_0F, 0x14, 16)                                                     \
    X(unpcklpd, PREFIX_66, MAP_0F, 0x14, 16)                                                       \
    X(unpckhps, PREFIX_NONE, MAP_0F, 0x15, 16)                                                     \
    X(unpckhpd, PREFIX_66, MAP_0F, 0x15, 16)                                                       \
    X(rsqrtps, PREFIX_NONE, MAP_0F, 0x52, 16)                                                      \
    X(rsqrtss, PREFIX_F3, MAP_0F, 0x52, 4)                                                         \
    X(rcpps, PREFIX_NONE, MAP_0F, 0x53, 16)                                                        \
    X(rcpss, PREFIX_F3, MAP_0F, 0x53, 4)                                                           \
    X(movsldup, PREFIX_F3, MAP_0F, 0x12, 16)                                                       \
    X(movshdup, PREFIX_F3, MAP_0F, 0x16, 16)                                                       \
    X(movddup, PREFIX_F2, MAP_0F, 0x12, 8)

/* X(name, prefix, code, bytes, lane, lanes) */
#define FLOAT(X)                                                                                   \
    X(sqrtps, PREFIX_NONE, 0x51, 16, 4, 4)                                                         \
    X(sqrtpd, PREFIX_66, 0x51, 16, 8, 2)                                                           \
    X(sqrtss, PREFIX_F3, 0x51, 4, 4, 1)                                                            \
    X(sqrtsd, PREFIX_F2, 0x51, 8, 8, 1)                                                            \
    X(addps, PREFIX_NONE, 0x58, 16, 4, 4)                                                          \
    X(addpd, PREFIX_66, 0x58, 16, 8, 2)                                                            \
    X(addss, PREFIX_F3, 0x58, 4, 4, 1)                                                             \
    X(addsd, PREFIX_F2, 0x58, 8, 8, 1)                                                             \
    X(mulps, PREFIX_NONE, 0x59, 16, 4, 4)                                                          \
    X(mulpd, PREFIX_66, 0x59, 16, 8, 2)                                                            \
    X(mulss, PREFIX_F3, 0x59, 4, 4, 1)                                                             \
    X(mulsd, PREFIX_F2, 0x59, 8, 8, 1)                                                             \
    X(subps, PREFIX_NONE, 0x5c, 16, 4, 4)                                                          \
    X(subpd, PREFIX_66, 0x5c, 16, 8, 2)                                                            \
    X(subss, PREFIX_F3, 0x5c, 4, 4, 1)                                                             \
    X(subsd, PREFIX_F2, 0x5c, 8, 8, 1)                                                             \
    X(minps, PREFIX_NONE, 0x5d, 16, 0, 4)                                                          \
    X(minpd, PREFIX_66, 0x5d, 16, 0, 2)                                                            \
    X(minss, PREFIX_F3, 0x5d, 4, 0, 1)                                                             \
    X(minsd, PREFIX_F2, 0x5d, 8, 0, 1)                                                             \
    X(divps, PREFIX_NONE, 0x5e, 16, 4, 4)                                                          \
    X(divpd, PREFIX_66, 0x5e, 16, 8, 2)                                                            \
    X(divss, PREFIX_F3, 0x5e, 4, 4, 1)                                                             \
    X(divsd, PREFIX_F2, 0x5e, 8, 8, 1)                                                             \
    X(maxps, PREFIX_NONE, 0x5f, 16, 0, 4)                                                          \
    X(maxpd, PREFIX_66, 0x5f, 16, 0, 2)                                                            \
    X(maxss, PREFIX_F3, 0x5f, 4, 0, 1)                                                             \
    X(maxsd, PREFIX_F2, 0x5f, 8, 0, 1)                                                             \
    X(haddpd, PREFIX_66, 0x7c, 16, 8, 2)                                                           \
    X(haddps, PREFIX_F2, 0x7c, 16, 4, 4)                                                           \
    X(hsubpd, PREFIX_66, 0x7d, 16, 8, 2)                                                           \
    X(hsubps, PREFIX_F2, 0x7d, 16, 4, 4)                                                           \
    X(addsubpd, PREFIX_66, 0xd0, 16, 8, 2)                                                         \
    X(addsubps, PREFIX_F2, 0xd0, 16, 4, 4)                                                         \
    X(cvtps2pd, PREFIX_NONE, 0x5a, 8, 0, 0)                                                        \
    X(cvtpd2ps, PREFIX_66, 0x5a, 16, 4, 2)                                                         \
    X(cvtss2sd, PREFIX_F3, 0x5a, 4, 0, 0)                                                          \
    X(cvtsd2ss, PREFIX_F2, 0x5a, 8, 4, 1)                                                          \
    X(cvtdq2ps, PREFIX_NONE, 0x5b, 16, 0, 0)                                                       \
    X(cvtps2dq, PREFIX_66, 0x5b, 16, 0, 0)                                                         \
    X(cvttps2dq, PREFIX_F3, 0x5b, 16, 0, 0)                                                        \
    X(cvtpd2dq, PREFIX_F2, 0xe6, 16, 0, 0)                                                         \
    X(cvttpd2dq, PREFIX_66, 0xe6, 16, 0, 0)                                                        \
    X(cvtdq2pd, PREFIX_F3, 0xe6, 8, 0, 0)

#define PLAIN_HANDLERS(name, pfx, map_, code_, bytes_) SSE_PLAIN(name, #name, bytes_)
PLAIN(PLAIN_HANDLERS)

#define FLOAT_HANDLERS(name, pfx, code_, bytes_, lane, lanes)                                      \
    SSE_FLOAT(name, #name, bytes_, lane, lanes)
FLOAT(FLOAT_HANDLERS)

/* ------------------------------------------------------------------ comparisons to the flags */

#define COMPARE(name, insn, bytes)                                                                 \
    static const struct op *name##_do(struct cpu *cpu, const struct op *op, vec b)                 \
    {                                                                                              \
        uint16_t raw;                                                                              \
        vec a = XMM(op->reg);                                                                      \
        sse_begin(cpu);                                                                            \
        __asm__ volatile(insn " %[b], %[a]" FLAGS_OUT                                              \
                         : "=&a"(raw)                                                              \
                         : [a] "x"(a), [b] "x"(b)                                                  \
                         : "cc", "memory");                                                        \
        sse_end(cpu, op, a, 0, 0);                                                                 \
        cpu->raw = raw;                                                                            \
        NEXT;                                                                                      \
    }                                                                                              \
    SSE_BOTH(name, sse_operand(cpu, op, bytes))
COMPARE(ucomiss, "ucomiss", 4)
COMPARE(ucomisd, "ucomisd", 8)
COMPARE(comiss, "comiss", 4)
COMPARE(comisd, "comisd", 8)

static const struct op *ptest_do(struct cpu *cpu, const struct op *op, vec b)
{
    uint16_t raw;
    vec a = XMM(op->reg);
    __asm__("ptest %[b], %[a]" FLAGS_OUT : "=&a"(raw) : [a] "x"(a), [b] "x"(b) : "cc");
    cpu->raw = raw;
    NEXT;
}

SSE_BOTH(ptest, sse_load(cpu, op))

/* ------------------------------------------------------------------ blends by XMM0 */

#define BLEND(name)                                                                                \
    static const struct op *name##_do(struct cpu *cpu, const struct op *op, vec b)                 \
    {                                                                                              \
        register vec mask __asm__("xmm0") = XMM(0);                                                \
        vec a = XMM(op->reg);                                                                      \
        __asm__(#name " %%xmm0, %[b], %[a]" : [a] "+x"(a) : [b] "x"(b), "x"(mask));                \
        XMM(op->reg) = a;                                                                          \
        NEXT;                                                                                      \
    }                                                                                              \
    SSE_BOTH(name, sse_load(cpu, op))
BLEND(pblendvb)
BLEND(blendvps)
BLEND(blendvpd)

/* ------------------------------------------------------------------ table */

#define PLAIN_ENTRY(fn, pfx, map_, code_, bytes_) SSE_ENTRY(#fn, map_, pfx, code_, fn, bytes_),
#define FLOAT_ENTRY(fn, pfx, code_, bytes_, lane, lanes)                                           \
    SSE_ENTRY(#fn, MAP_0F, pfx, code_, fn, bytes_),

/* clang-format off */
static const struct opcode table[] = {
    PLAIN(PLAIN_ENTRY)
    FLOAT(FLOAT_ENTRY)
    SSE_ENTRY("ucomiss", MAP_0F, PREFIX_NONE, 0x2e, ucomiss, 4),
    SSE_ENTRY("ucomisd", MAP_0F, PREFIX_66, 0x2e, ucomisd, 8),
    SSE_ENTRY("comiss", MAP_0F, PREFIX_NONE, 0x2f, comiss, 4),
    SSE_ENTRY("comisd", MAP_0F, PREFIX_66, 0x2f, comisd, 8),
    SSE_ENTRY("ptest", MAP_0F38, PREFIX_66, 0x17, ptest, 16),
    SSE_ENTRY("pblendvb", MAP_0F38, PREFIX_66, 0x10, pblendvb, 16),
    SSE_ENTRY("blendvps", MAP_0F38, PREFIX_66, 0x14, blendvps, 16),
    SSE_ENTRY("blendvpd", MAP_0F38, PREFIX_66, 0x15, blendvpd, 16),
};
/* clang-format on */

const struct opcode_list sse_opcodes = {table, sizeof(table) / sizeof(table[0])};
