#include "cpu/port.h"

#include "cpu/fp.h"
#include "cpu/handler.h"
#include "cpu/mmu.h"
#include "cpu/segment.h"

#define TSS_IO_MAP 0x66u

/* Two bytes of the bitmap are read, as the hardware does: an access may span them. */
static bool bitmap_allows(struct cpu *cpu, uint16_t port, unsigned bytes)
{
    uint16_t map, bits;
    bool has_map = cpu->tr.type == TYPE_TSS32_BUSY || cpu->tr.type == TYPE_TSS32;
    if (!has_map || cpu->tr.limit < TSS_IO_MAP + 1)
        return false;
    sys_load(cpu, cpu->tr.base + TSS_IO_MAP, &map, 2);
    if (map + port / 8u + 1 > cpu->tr.limit)
        return false;
    sys_load(cpu, cpu->tr.base + map + port / 8u, &bits, 2);
    return !((bits >> (port % 8)) & ((1u << bytes) - 1));
}

void port_check(struct cpu *cpu, const struct op *op, uint16_t port, unsigned bytes)
{
    cpu->op = op;
    if (!cpu_protected(cpu) || cpu->cpl <= (cpu->eflags & FLAG_IOPL) >> 12)
        return;
    if (!bitmap_allows(cpu, port, bytes))
        cpu_fault_code(cpu, VEC_GP, 0);
}

uint32_t port_read(struct cpu *cpu, uint16_t port, unsigned bytes)
{
    const struct cpu_ops *ops = cpu->config.ops;
    fp_leave(cpu);
    return ops->port_in ? ops->port_in(cpu->config.owner, port, bytes) : ~0u;
}

void port_write(struct cpu *cpu, uint16_t port, uint32_t value, unsigned bytes)
{
    const struct cpu_ops *ops = cpu->config.ops;
    fp_leave(cpu);
    if (bytes < 4)
        value &= (1u << (bytes * 8)) - 1;
    if (ops->port_out)
        ops->port_out(cpu->config.owner, port, value, bytes);
}

static uint16_t port_of(const struct cpu *cpu, const struct op *op, bool immediate)
{
    return immediate ? (uint8_t)op->imm : REG16(cpu, CPU_RDX * 8);
}

static const struct op *in(struct cpu *cpu, const struct op *op, bool immediate)
{
    uint16_t port = port_of(cpu, op, immediate);
    port_check(cpu, op, port, 1u << op->size);
    reg_set(cpu, CPU_RAX * 8, op->size, port_read(cpu, port, 1u << op->size));
    return leave_after(cpu, op);
}

static const struct op *out(struct cpu *cpu, const struct op *op, bool immediate)
{
    uint16_t port = port_of(cpu, op, immediate);
    port_check(cpu, op, port, 1u << op->size);
    port_write(cpu, port, REG32(cpu, CPU_RAX * 8), 1u << op->size);
    return leave_after(cpu, op);
}

HANDLER(in_imm)
{
    return in(cpu, op, true);
}

HANDLER(in_dx)
{
    return in(cpu, op, false);
}

HANDLER(out_imm)
{
    return out(cpu, op, true);
}

HANDLER(out_dx)
{
    return out(cpu, op, false);
}

/* clang-format off */
static const struct opcode table[] = {
    {.name = "in", .code = 0xe4, .form = FORM_IB, .size = SIZE_B, .attr = AT_END, .reg = ALL(in_imm)},
    {.name = "in", .code = 0xe5, .form = FORM_IB, .size = SIZE_DIR, .attr = AT_END, .reg = ALL(in_imm)},
    {.name = "out", .code = 0xe6, .form = FORM_IB, .size = SIZE_B, .attr = AT_END, .reg = ALL(out_imm)},
    {.name = "out", .code = 0xe7, .form = FORM_IB, .size = SIZE_DIR, .attr = AT_END, .reg = ALL(out_imm)},
    {.name = "in", .code = 0xec, .size = SIZE_B, .attr = AT_END, .reg = ALL(in_dx)},
    {.name = "in", .code = 0xed, .size = SIZE_DIR, .attr = AT_END, .reg = ALL(in_dx)},
    {.name = "out", .code = 0xee, .size = SIZE_B, .attr = AT_END, .reg = ALL(out_dx)},
    {.name = "out", .code = 0xef, .size = SIZE_DIR, .attr = AT_END, .reg = ALL(out_dx)},
};
/* clang-format on */

const struct opcode_list port_opcodes = {table, sizeof(table) / sizeof(table[0])};
