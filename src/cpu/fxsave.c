#include "cpu/fp.h"
#include "cpu/handler.h"
#include "cpu/segment.h"

/* FXSAVE and FXRSTOR, LDMXCSR and STMXCSR. The area is 512 bytes, of which 416 are in use. */
#define AREA_BYTES 416u
#define XMM_AT 160u
#define MXCSR_MASK 0xffffu

struct area {
    uint16_t cw, sw;
    uint8_t tags, reserved;
    uint16_t opcode;
    uint64_t ip, dp;
    uint32_t mxcsr, mxcsr_mask;
    uint8_t st[8][16];
    uint8_t xmm[16][16];
};

_Static_assert(sizeof(struct area) == AREA_BYTES, "the layout of FXSAVE");

static uint8_t short_tags(uint32_t full)
{
    unsigned tags = 0;
    for (unsigned i = 0; i < 8; i++)
        if (((full >> (i * 2)) & 3) != 3)
            tags |= 1u << i;
    return (uint8_t)tags;
}

static uint32_t full_tags(uint8_t tags)
{
    uint32_t full = 0xffff0000u;
    for (unsigned i = 0; i < 8; i++)
        if (!(tags & (1u << i)))
            full |= 3u << (i * 2);
    return full;
}

/* The area's address, aligned. */
static uint64_t area_linear(struct cpu *cpu, const struct op *op, bool write)
{
    fp_check_x87(cpu, op);
    uint64_t linear = ea_checked(cpu, op, sizeof(struct area), write);
    if (linear & 15)
        cpu_fault_code(cpu, VEC_GP, 0);
    return linear;
}

static unsigned xmm_bytes(const struct op *op)
{
    return op->flags & OP_MODE64 ? 256 : 128;
}

HANDLER(fxsave)
{
    struct area area = {0};
    uint64_t linear = area_linear(cpu, op, true);
    fp_leave(cpu);
    area.cw = (uint16_t)cpu->x87.cw;
    area.sw = (uint16_t)cpu->x87.sw;
    area.tags = short_tags(cpu->x87.tw);
    area.opcode = cpu->x87_opcode;
    area.ip = op->size == 3 ? cpu->x87_ip : (uint32_t)cpu->x87_ip;
    area.dp = op->size == 3 ? cpu->x87_dp : (uint32_t)cpu->x87_dp;
    area.mxcsr = cpu->mxcsr;
    area.mxcsr_mask = MXCSR_MASK;
    for (unsigned i = 0; i < 8; i++)
        memcpy(area.st[i], cpu->x87.st[i], 10);
    memcpy(area.xmm, cpu->xmm, xmm_bytes(op));
    for (unsigned at = 0; at < XMM_AT + xmm_bytes(op); at += 16)
        mem_store(cpu, op, linear + at, (const uint8_t *)&area + at, 16);
    return op + 1;
}

HANDLER(fxrstor)
{
    struct area area;
    uint64_t linear = area_linear(cpu, op, false);
    for (unsigned at = 0; at < XMM_AT + xmm_bytes(op); at += 16)
        mem_load(cpu, op, linear + at, (uint8_t *)&area + at, 16);
    if (area.mxcsr & ~MXCSR_MASK)
        cpu_fault_code(cpu, VEC_GP, 0);
    fp_leave(cpu);
    cpu->x87.cw = (area.cw & 0x1f7fu) | 0xffff0040u;
    cpu->x87.sw = area.sw | 0xffff0000u;
    cpu->x87.tw = full_tags(area.tags);
    fp_summarize(cpu);
    cpu->x87_opcode = area.opcode & 0x7ff;
    cpu->x87_ip = area.ip;
    cpu->x87_dp = area.dp;
    cpu->mxcsr = area.mxcsr;
    for (unsigned i = 0; i < 8; i++)
        memcpy(cpu->x87.st[i], area.st[i], 10);
    memcpy(cpu->xmm, area.xmm, xmm_bytes(op));
    return op + 1;
}

HANDLER(ldmxcsr)
{
    fp_check_sse(cpu, op);
    uint32_t value = load32(cpu, op, ea(cpu, op));
    if (value & ~MXCSR_MASK)
        cpu_fault_code(cpu, VEC_GP, 0);
    fp_set_mxcsr(cpu, value);
    return op + 1;
}

HANDLER(stmxcsr)
{
    fp_check_sse(cpu, op);
    store32(cpu, op, ea(cpu, op), fp_get_mxcsr(cpu));
    return op + 1;
}

#define ENTRY(text, fn, n, size_, bytes_, attr_)                                                   \
    {                                                                                              \
        .name = text, .map = MAP_0F, .code = 0xae, .prefix = PREFIX_NONE, .ext = EXT(n),           \
        .form = FORM_E, .size = size_, .bytes = bytes_, .attr = AT_MEM | (attr_), .mem = ALL(fn)   \
    }

static const struct opcode table[] = {
        ENTRY("fxsave", fxsave, 0, SIZE_Y, 16, AT_WRITES),
        ENTRY("fxrstor", fxrstor, 1, SIZE_Y, 16, 0),
        ENTRY("ldmxcsr", ldmxcsr, 2, SIZE_D, 4, 0),
        ENTRY("stmxcsr", stmxcsr, 3, SIZE_D, 4, AT_WRITES),
};

const struct opcode_list fxsave_opcodes = {table, sizeof(table) / sizeof(table[0])};
