#include "cpu/segment.h"
#include "cpu/sse.h"

/* SSE moves: whole registers, halves, single elements, to and from general registers. */

/* ------------------------------------------------------------------ whole registers */

HANDLER(mov_r)
{
    sse_check(cpu, op);
    XMM(op->reg) = XMM(op->rm);
    NEXT;
}

/* The reverse encodings: rm = reg. */
HANDLER(mov_r_back)
{
    sse_check(cpu, op);
    XMM(op->rm) = XMM(op->reg);
    NEXT;
}

HANDLER(mova_load)
{
    sse_check(cpu, op);
    XMM(op->reg) = sse_load(cpu, op);
    NEXT;
}

HANDLER(mova_store)
{
    sse_check(cpu, op);
    uint64_t linear = ea(cpu, op);
    if (unlikely(linear & 15))
        sse_misaligned(cpu, op);
    mem_store(cpu, op, linear, &cpu->xmm[op->reg], 16);
    NEXT;
}

HANDLER(movu_load)
{
    sse_check(cpu, op);
    mem_load(cpu, op, ea(cpu, op), &cpu->xmm[op->reg], 16);
    NEXT;
}

HANDLER(movu_store)
{
    sse_check(cpu, op);
    mem_store(cpu, op, ea(cpu, op), &cpu->xmm[op->reg], 16);
    NEXT;
}

/* ------------------------------------------------------------------ single elements */

HANDLER(movss_r)
{
    sse_check(cpu, op);
    memcpy(&cpu->xmm[op->reg], &cpu->xmm[op->rm], 4);
    NEXT;
}

HANDLER(movss_r_back)
{
    sse_check(cpu, op);
    memcpy(&cpu->xmm[op->rm], &cpu->xmm[op->reg], 4);
    NEXT;
}

HANDLER(movsd_r)
{
    sse_check(cpu, op);
    cpu->xmm[op->reg].q[0] = cpu->xmm[op->rm].q[0];
    NEXT;
}

HANDLER(movsd_r_back)
{
    sse_check(cpu, op);
    cpu->xmm[op->rm].q[0] = cpu->xmm[op->reg].q[0];
    NEXT;
}

HANDLER(mov32_load)
{
    sse_check(cpu, op);
    uint32_t value = load32(cpu, op, ea(cpu, op));
    cpu->xmm[op->reg] = (struct xmm){{value, 0}};
    NEXT;
}

HANDLER(mov32_store)
{
    sse_check(cpu, op);
    store32(cpu, op, ea(cpu, op), (uint32_t)cpu->xmm[op->reg].q[0]);
    NEXT;
}

HANDLER(mov64_load)
{
    sse_check(cpu, op);
    uint64_t value = load64(cpu, op, ea(cpu, op));
    cpu->xmm[op->reg] = (struct xmm){{value, 0}};
    NEXT;
}

HANDLER(movq_r)
{
    sse_check(cpu, op);
    cpu->xmm[op->reg] = (struct xmm){{cpu->xmm[op->rm].q[0], 0}};
    NEXT;
}

HANDLER(movq_r_back)
{
    sse_check(cpu, op);
    cpu->xmm[op->rm] = (struct xmm){{cpu->xmm[op->reg].q[0], 0}};
    NEXT;
}

/* ------------------------------------------------------------------ halves */

#define HALF(name, half)                                                                           \
    HANDLER(name##_load)                                                                           \
    {                                                                                              \
        sse_check(cpu, op);                                                                        \
        uint64_t value = load64(cpu, op, ea(cpu, op));                                             \
        cpu->xmm[op->reg].q[half] = value;                                                         \
        NEXT;                                                                                      \
    }                                                                                              \
    HANDLER(name##_store)                                                                          \
    {                                                                                              \
        sse_check(cpu, op);                                                                        \
        store64(cpu, op, ea(cpu, op), cpu->xmm[op->reg].q[half]);                                  \
        NEXT;                                                                                      \
    }
HALF(low, 0)
HALF(high, 1)

HANDLER(movhlps)
{
    sse_check(cpu, op);
    cpu->xmm[op->reg].q[0] = cpu->xmm[op->rm].q[1];
    NEXT;
}

HANDLER(movlhps)
{
    sse_check(cpu, op);
    cpu->xmm[op->reg].q[1] = cpu->xmm[op->rm].q[0];
    NEXT;
}

/* ------------------------------------------------------------------ general registers */

HANDLER(movd_from_general)
{
    sse_check(cpu, op);
    cpu->xmm[op->reg] = (struct xmm){{reg_get(cpu, op->rm, op->size), 0}};
    NEXT;
}

HANDLER(movd_load)
{
    sse_check(cpu, op);
    uint64_t value = mem_load_value(cpu, op, ea(cpu, op), 1u << op->size);
    cpu->xmm[op->reg] = (struct xmm){{value, 0}};
    NEXT;
}

HANDLER(movd_to_general)
{
    sse_check(cpu, op);
    reg_set(cpu, op->rm, op->size, cpu->xmm[op->reg].q[0]);
    NEXT;
}

HANDLER(movd_store)
{
    sse_check(cpu, op);
    mem_store_value(cpu, op, ea(cpu, op), cpu->xmm[op->reg].q[0], 1u << op->size);
    NEXT;
}

#define MASK(name, insn)                                                                           \
    HANDLER(name)                                                                                  \
    {                                                                                              \
        uint32_t mask;                                                                             \
        sse_check(cpu, op);                                                                        \
        __asm__(insn " %[x], %[mask]" : [mask] "=r"(mask) : [x] "x"(XMM(op->rm)));                 \
        cpu->regs[op->reg / 8] = mask;                                                             \
        NEXT;                                                                                      \
    }
MASK(movmskps, "movmskps")
MASK(movmskpd, "movmskpd")
MASK(pmovmskb, "pmovmskb")

/* Bytes chosen by the mask's top bits, to DS:RDI. */
HANDLER(maskmovdqu)
{
    sse_check(cpu, op);
    const uint8_t *data = (const uint8_t *)&cpu->xmm[op->reg];
    const uint8_t *mask = (const uint8_t *)&cpu->xmm[op->rm];
    mask_store(cpu, op, data, mask, 16);
    return op + 1;
}

/* ------------------------------------------------------------------ table */

#define MOVE(text, pfx, code_, form_, bytes_, attr_, r, m)                                         \
    {                                                                                              \
        .name = text, .map = MAP_0F, .code = code_, .prefix = pfx, .form = form_, .size = SIZE_Y,  \
        .bytes = bytes_, .attr = attr_, .reg = ALL(r), .mem = ALL(m)                               \
    }
#define GENERAL(text, code_, attr_, r, m)                                                          \
    {                                                                                              \
        .name = text, .map = MAP_0F, .code = code_, .prefix = PREFIX_66, .form = FORM_VE,          \
        .size = SIZE_Y, .attr = attr_, .reg = ALL(r), .mem = ALL(m)                                \
    }

/* clang-format off */
static const struct opcode table[] = {
    MOVE("movaps", PREFIX_NONE, 0x28, FORM_VW, 16, 0, mov_r, mova_load),
    MOVE("movapd", PREFIX_66, 0x28, FORM_VW, 16, 0, mov_r, mova_load),
    MOVE("movaps", PREFIX_NONE, 0x29, FORM_VW, 16, AT_WRITES, mov_r_back, mova_store),
    MOVE("movapd", PREFIX_66, 0x29, FORM_VW, 16, AT_WRITES, mov_r_back, mova_store),
    MOVE("movdqa", PREFIX_66, 0x6f, FORM_VW, 16, 0, mov_r, mova_load),
    MOVE("movdqa", PREFIX_66, 0x7f, FORM_VW, 16, AT_WRITES, mov_r_back, mova_store),
    MOVE("movdqu", PREFIX_F3, 0x6f, FORM_VW, 16, 0, mov_r, movu_load),
    MOVE("movdqu", PREFIX_F3, 0x7f, FORM_VW, 16, AT_WRITES, mov_r_back, movu_store),
    MOVE("movups", PREFIX_NONE, 0x10, FORM_VW, 16, 0, mov_r, movu_load),
    MOVE("movupd", PREFIX_66, 0x10, FORM_VW, 16, 0, mov_r, movu_load),
    MOVE("movups", PREFIX_NONE, 0x11, FORM_VW, 16, AT_WRITES, mov_r_back, movu_store),
    MOVE("movupd", PREFIX_66, 0x11, FORM_VW, 16, AT_WRITES, mov_r_back, movu_store),
    MOVE("movss", PREFIX_F3, 0x10, FORM_VW, 4, 0, movss_r, mov32_load),
    MOVE("movss", PREFIX_F3, 0x11, FORM_VW, 4, AT_WRITES, movss_r_back, mov32_store),
    MOVE("movsd", PREFIX_F2, 0x10, FORM_VW, 8, 0, movsd_r, mov64_load),
    MOVE("movsd", PREFIX_F2, 0x11, FORM_VW, 8, AT_WRITES, movsd_r_back, low_store),
    MOVE("movq", PREFIX_F3, 0x7e, FORM_VW, 8, 0, movq_r, mov64_load),
    MOVE("movq", PREFIX_66, 0xd6, FORM_VW, 8, AT_WRITES, movq_r_back, low_store),
    MOVE("movhlps", PREFIX_NONE, 0x12, FORM_VW, 8, AT_REG, movhlps, movhlps),
    MOVE("movlps", PREFIX_NONE, 0x12, FORM_VW, 8, AT_MEM, low_load, low_load),
    MOVE("movlpd", PREFIX_66, 0x12, FORM_VW, 8, AT_MEM, low_load, low_load),
    MOVE("movlps", PREFIX_NONE, 0x13, FORM_VW, 8, AT_MEM | AT_WRITES, low_store, low_store),
    MOVE("movlpd", PREFIX_66, 0x13, FORM_VW, 8, AT_MEM | AT_WRITES, low_store, low_store),
    MOVE("movlhps", PREFIX_NONE, 0x16, FORM_VW, 8, AT_REG, movlhps, movlhps),
    MOVE("movhps", PREFIX_NONE, 0x16, FORM_VW, 8, AT_MEM, high_load, high_load),
    MOVE("movhpd", PREFIX_66, 0x16, FORM_VW, 8, AT_MEM, high_load, high_load),
    MOVE("movhps", PREFIX_NONE, 0x17, FORM_VW, 8, AT_MEM | AT_WRITES, high_store, high_store),
    MOVE("movhpd", PREFIX_66, 0x17, FORM_VW, 8, AT_MEM | AT_WRITES, high_store, high_store),
    MOVE("movntps", PREFIX_NONE, 0x2b, FORM_VW, 16, AT_MEM | AT_WRITES, mova_store, mova_store),
    MOVE("movntpd", PREFIX_66, 0x2b, FORM_VW, 16, AT_MEM | AT_WRITES, mova_store, mova_store),
    MOVE("movntdq", PREFIX_66, 0xe7, FORM_VW, 16, AT_MEM | AT_WRITES, mova_store, mova_store),
    MOVE("lddqu", PREFIX_F2, 0xf0, FORM_VW, 16, AT_MEM, movu_load, movu_load),
    {.name = "movntdqa", .map = MAP_0F38, .code = 0x2a, .prefix = PREFIX_66, .form = FORM_VW, .bytes = 16, .attr = AT_MEM, .mem = ALL(mova_load)},
    GENERAL("movd", 0x6e, 0, movd_from_general, movd_load),
    GENERAL("movd", 0x7e, AT_WRITES, movd_to_general, movd_store),
    MOVE("movmskps", PREFIX_NONE, 0x50, FORM_GW, 0, AT_REG, movmskps, movmskps),
    MOVE("movmskpd", PREFIX_66, 0x50, FORM_GW, 0, AT_REG, movmskpd, movmskpd),
    MOVE("pmovmskb", PREFIX_66, 0xd7, FORM_GW, 0, AT_REG, pmovmskb, pmovmskb),
    MOVE("maskmovdqu", PREFIX_66, 0xf7, FORM_VW, 16, AT_REG, maskmovdqu, maskmovdqu),
};
/* clang-format on */

const struct opcode_list sse_move_opcodes = {table, sizeof(table) / sizeof(table[0])};
