#include "cpu/flags.h"
#include "cpu/handler.h"
#include "cpu/segment.h"

/* Decimal adjustment and other instructions that 64-bit code does not have; the host cannot do them
 * in its own mode, so they are computed here as the manuals write them. */

#define AL REG8(cpu, 0)
#define AH REG8(cpu, 1)

static void set_result_flags(struct cpu *cpu, uint8_t value)
{
    uint16_t raw;
    __asm__("testb %[v], %[v]" FLAGS_OUT : "=&a"(raw) : [v] "r"(value) : "cc");
    cpu->raw = (uint16_t)((raw & (RAW_PF | RAW_ZF | RAW_SF)) | (cpu->raw & (RAW_CF | RAW_AF)));
}

static const struct op *adjust(struct cpu *cpu, const struct op *op, bool subtract)
{
    uint8_t old = AL, delta = 0;
    bool carry = (cpu->raw & RAW_CF) || old > 0x99;
    bool aux = (cpu->raw & RAW_AF) || (old & 15) > 9;
    bool old_carry = cpu->raw & RAW_CF;
    if (aux) {
        delta = 6;
        old_carry = old_carry || (subtract ? old < 6 : old > 0xf9);
    }
    if (carry) {
        delta = (uint8_t)(delta + 0x60);
        old_carry = true;
    }
    AL = (uint8_t)(subtract ? old - delta : old + delta);
    flags_set_bit(cpu, RAW_CF, old_carry);
    flags_set_bit(cpu, RAW_AF, aux);
    set_result_flags(cpu, AL);
    return op + 1;
}

HANDLER(daa)
{
    return adjust(cpu, op, false);
}

HANDLER(das)
{
    return adjust(cpu, op, true);
}

static const struct op *ascii_adjust(struct cpu *cpu, const struct op *op, int by)
{
    bool aux = (cpu->raw & RAW_AF) || (AL & 15) > 9;
    if (aux)
        REG16(cpu, 0) = (uint16_t)(REG16(cpu, 0) + by * 0x106);
    set_result_flags(cpu, AL);
    flags_set_bit(cpu, RAW_AF, aux);
    flags_set_bit(cpu, RAW_CF, aux);
    AL &= 15;
    return op + 1;
}

HANDLER(aaa)
{
    return ascii_adjust(cpu, op, 1);
}

HANDLER(aas)
{
    return ascii_adjust(cpu, op, -1);
}

HANDLER(aam)
{
    uint8_t base = (uint8_t)op->imm;
    cpu->op = op;
    if (!base)
        cpu_fault(cpu, VEC_DE);
    uint8_t value = AL;
    AH = value / base;
    AL = value % base;
    cpu->raw = 0;
    set_result_flags(cpu, AL);
    return op + 1;
}

HANDLER(aad)
{
    AL = (uint8_t)(AL + AH * (uint8_t)op->imm);
    AH = 0;
    cpu->raw = 0;
    set_result_flags(cpu, AL);
    return op + 1;
}

HANDLER(salc)
{
    AL = cpu->raw & RAW_CF ? 0xff : 0;
    NEXT;
}

HANDLER(bound)
{
    unsigned bytes = 1u << op->size, shift = 64 - bytes * 8;
    uint64_t linear = ea(cpu, op);
    int64_t index = (int64_t)(reg_get(cpu, op->reg, op->size) << shift);
    cpu->op = op;
    if (index < (int64_t)(mem_load_value(cpu, op, linear, bytes) << shift))
        cpu_fault(cpu, VEC_BR); /* the upper limit is not looked at then */
    linear = seg_linear(cpu, op, op->seg, ea_offset(cpu, op) + bytes, bytes, false);
    if (index > (int64_t)(mem_load_value(cpu, op, linear, bytes) << shift))
        cpu_fault(cpu, VEC_BR);
    return op + 1;
}

HANDLER(arpl)
{
    bool is_mem = op->base != REG_ZERO * 8 || op->bytes;
    cpu->op = op;
    if (!cpu_protected(cpu))
        cpu_fault(cpu, VEC_UD);
    uint64_t linear = is_mem ? ea_checked(cpu, op, 2, false) : 0;
    uint16_t target = is_mem ? load16(cpu, op, linear) : REG16(cpu, op->rm);
    uint16_t rpl = REG16(cpu, op->reg) & 3, raised = (uint16_t)((target & ~3) | rpl);
    bool lower = (target & 3) < rpl;
    if (lower && is_mem) /* what is not to be changed is not written */
        store16(cpu, op, ea_checked(cpu, op, 2, true), raised);
    else if (lower)
        REG16(cpu, op->rm) = raised;
    flags_set_bit(cpu, RAW_ZF, lower);
    return op + 1;
}

/* clang-format off */
static const struct opcode table[] = {
    {.name = "daa", .code = 0x27, .attr = AT_NO64, .reg = ALL(daa)},
    {.name = "das", .code = 0x2f, .attr = AT_NO64, .reg = ALL(das)},
    {.name = "aaa", .code = 0x37, .attr = AT_NO64, .reg = ALL(aaa)},
    {.name = "aas", .code = 0x3f, .attr = AT_NO64, .reg = ALL(aas)},
    {.name = "aam", .code = 0xd4, .form = FORM_IB, .attr = AT_NO64, .reg = ALL(aam)},
    {.name = "aad", .code = 0xd5, .form = FORM_IB, .attr = AT_NO64, .reg = ALL(aad)},
    {.name = "salc", .code = 0xd6, .attr = AT_NO64, .reg = ALL(salc)},
    {.name = "bound", .code = 0x62, .form = FORM_GR, .size = SIZE_V, .attr = AT_NO64 | AT_MEM, .mem = ALL(bound)},
    {.name = "arpl", .code = 0x63, .form = FORM_EG, .size = SIZE_W, .attr = AT_NO64, .reg = ALL(arpl), .mem = ALL(arpl)},
};
/* clang-format on */

const struct opcode_list decimal_opcodes = {table, sizeof(table) / sizeof(table[0])};
