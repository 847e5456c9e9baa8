#include <sys/random.h>
#include <x86intrin.h>

#include "cpu/control.h"
#include "cpu/flags.h"
#include "cpu/fp.h"
#include "cpu/handler.h"
#include "cpu/mmu.h"
#include "cpu/msr.h"
#include "cpu/segment.h"
#include "cpu/watch.h"

/* ------------------------------------------------------------------ control and debug registers */

static uint64_t cr8_read(struct cpu *cpu)
{
    const struct cpu_ops *ops = cpu->config.ops;
    fp_leave(cpu);
    return ops->cr8_read ? ops->cr8_read(cpu->config.owner) : 0;
}

static void cr8_write(struct cpu *cpu, uint64_t value)
{
    const struct cpu_ops *ops = cpu->config.ops;
    if (value >> 4)
        cpu_fault_code(cpu, VEC_GP, 0);
    fp_leave(cpu);
    if (ops->cr8_write)
        ops->cr8_write(cpu->config.owner, (uint8_t)value);
}

HANDLER(mov_from_cr)
{
    uint64_t value = 0;
    cpu->op = op;
    cpu_need_ring0(cpu);
    switch (op->reg) {
    case 0:
        value = cpu->cr0;
        break;
    case 2:
        value = cpu->cr2;
        break;
    case 3:
        value = cpu->cr3;
        break;
    case 4:
        value = cpu->cr4;
        break;
    case 8:
        value = cr8_read(cpu);
        break;
    default:
        cpu_fault(cpu, VEC_UD);
    }
    reg_set(cpu, op->rm, op->size, value);
    return op + 1;
}

HANDLER(mov_to_cr)
{
    uint64_t value = reg_get(cpu, op->rm, op->size);
    cpu->op = op;
    cpu_need_ring0(cpu);
    uint64_t next = op_next_rip(cpu, op); /* before the mode may change */
    switch (op->reg) {
    case 0:
        control_write_cr0(cpu, value);
        break;
    case 2:
        cpu->cr2 = value;
        break;
    case 3:
        control_write_cr3(cpu, value);
        break;
    case 4:
        control_write_cr4(cpu, value);
        break;
    case 8:
        cr8_write(cpu, value);
        break;
    default:
        cpu_fault(cpu, VEC_UD);
    }
    return leave_to(cpu, op, next);
}

/* DR4 and DR5 are DR6 and DR7 unless CR4.DE says that they do not exist. */
static unsigned debug_register(struct cpu *cpu, const struct op *op)
{
    unsigned reg = op->reg;
    cpu->op = op;
    if (reg > 7 || ((reg == 4 || reg == 5) && (cpu->cr4 & CR4_DE)))
        cpu_fault(cpu, VEC_UD);
    cpu_need_ring0(cpu);
    if (cpu->dr7 & 0x2000) { /* general detect */
        cpu->dr6 |= 0x2000;
        cpu->dr7 &= ~0x2000ull;
        cpu_fault(cpu, VEC_DB);
    }
    return reg == 4 || reg == 5 ? reg + 2 : reg;
}

HANDLER(mov_from_dr)
{
    unsigned reg = debug_register(cpu, op);
    uint64_t value = reg < 4 ? cpu->db[reg] : reg == 6 ? cpu->dr6 : cpu->dr7;
    reg_set(cpu, op->rm, op->size, value);
    return op + 1;
}

HANDLER(mov_to_dr)
{
    unsigned reg = debug_register(cpu, op);
    uint64_t value = reg_get(cpu, op->rm, op->size);
    if (reg >= 6 && value >> 32)
        cpu_fault_code(cpu, VEC_GP, 0);
    if (reg < 4)
        cpu->db[reg] = value;
    else if (reg == 6)
        cpu->dr6 = (value & 0xe00f) | 0xffff0ff0;
    else
        cpu->dr7 = (value & 0xffff2fff) | 0x400;
    watch_update(cpu);
    return leave_after(cpu, op);
}

HANDLER(clts)
{
    cpu->op = op;
    cpu_need_ring0(cpu);
    cpu->cr0 &= ~(uint64_t)CR0_TS;
    return op + 1;
}

static const struct op *smsw(struct cpu *cpu, const struct op *op, bool is_mem)
{
    cpu->op = op;
    if (cpu->cpl && (cpu->cr4 & CR4_UMIP))
        cpu_fault_code(cpu, VEC_GP, 0);
    if (is_mem)
        store16(cpu, op, ea(cpu, op), (uint16_t)cpu->cr0);
    else
        reg_set(cpu, op->rm, op->size, cpu->cr0);
    return op + 1;
}

HANDLER(smsw_r)
{
    return smsw(cpu, op, false);
}

HANDLER(smsw_m)
{
    return smsw(cpu, op, true);
}

static const struct op *lmsw(struct cpu *cpu, const struct op *op, bool is_mem)
{
    cpu->op = op;
    cpu_need_ring0(cpu);
    uint64_t value = is_mem ? load16(cpu, op, ea(cpu, op)) : REG16(cpu, op->rm);
    uint64_t next = op_next_rip(cpu, op);
    uint64_t kept = cpu->cr0 & ~(uint64_t)(CR0_MP | CR0_EM | CR0_TS);
    control_write_cr0(cpu, kept | (value & 15)); /* PE can be set, not cleared */
    return leave_to(cpu, op, next);
}

HANDLER(lmsw_r)
{
    return lmsw(cpu, op, false);
}

HANDLER(lmsw_m)
{
    return lmsw(cpu, op, true);
}

/* ------------------------------------------------------------------ flags */

static bool may_change_if(const struct cpu *cpu)
{
    return !cpu_protected(cpu) || cpu->cpl <= (cpu->eflags & FLAG_IOPL) >> 12;
}

HANDLER(cli)
{
    cpu->op = op;
    if (!may_change_if(cpu))
        cpu_fault_code(cpu, VEC_GP, 0);
    cpu->eflags &= ~FLAG_IF;
    NEXT;
}

HANDLER(sti)
{
    cpu->op = op;
    if (!may_change_if(cpu))
        cpu_fault_code(cpu, VEC_GP, 0);
    if (!(cpu->eflags & FLAG_IF))
        cpu->shadow = true;
    cpu->eflags |= FLAG_IF;
    return leave_after(cpu, op);
}

static const struct op *set_ac(struct cpu *cpu, const struct op *op, bool on)
{
    cpu->op = op;
    if (cpu->cpl)
        cpu_fault(cpu, VEC_UD);
    cpu->eflags = on ? cpu->eflags | FLAG_AC : cpu->eflags & ~FLAG_AC;
    mmu_select(cpu);
    NEXT;
}

HANDLER(clac)
{
    return set_ac(cpu, op, false);
}

HANDLER(stac)
{
    return set_ac(cpu, op, true);
}

#define FLAG_HANDLER(name, change)                                                                 \
    HANDLER(name)                                                                                  \
    {                                                                                              \
        change;                                                                                    \
        NEXT;                                                                                      \
    }
FLAG_HANDLER(clc, cpu->raw &= (uint16_t)~RAW_CF)
FLAG_HANDLER(stc, cpu->raw |= RAW_CF)
FLAG_HANDLER(cmc, cpu->raw ^= RAW_CF)
FLAG_HANDLER(cld, cpu->eflags &= ~FLAG_DF)
FLAG_HANDLER(std, cpu->eflags |= FLAG_DF)
FLAG_HANDLER(sahf, flags_set_arith(cpu, (REG8(cpu, 1) & 0xffu) | (flags_arith(cpu) & FLAG_OF)))
FLAG_HANDLER(lahf, REG8(cpu, 1) = (uint8_t)(flags_get(cpu) & 0xff))

/* ------------------------------------------------------------------ TLB, caches, waiting */

HANDLER(invlpg)
{
    cpu->op = op;
    cpu_need_ring0(cpu);
    mmu_flush_page(cpu, ea_offset(cpu, op) + (op->flags & OP_MODE64 ? cpu->seg_base[op->seg]
                                                                    : cpu->segment[op->seg].base));
    return leave_after(cpu, op);
}

/* INVD, WBINVD: the host's caches are coherent. */
HANDLER(ring0_nothing)
{
    cpu->op = op;
    cpu_need_ring0(cpu);
    return op + 1;
}

HANDLER(clflush)
{
    (void)load8(cpu, op, ea(cpu, op));
    NEXT;
}

HANDLER(fence)
{
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    NEXT;
}

HANDLER(hlt)
{
    cpu->op = op;
    cpu_need_ring0(cpu);
    cpu->halted = true;
    return leave_after(cpu, op);
}

/* UD0, UD1, UD2: what they are for. */
HANDLER(ud)
{
    cpu->op = op;
    cpu_fault(cpu, VEC_UD);
}

/* ------------------------------------------------------------------ identification, time */

HANDLER(cpuid)
{
    uint32_t regs[4];
    fp_leave(cpu);
    cpu_cpuid(cpu, REG32(cpu, CPU_RAX * 8), REG32(cpu, CPU_RCX * 8), regs);
    cpu->regs[CPU_RAX] = regs[0];
    cpu->regs[CPU_RBX] = regs[1];
    cpu->regs[CPU_RCX] = regs[2];
    cpu->regs[CPU_RDX] = regs[3];
    return leave_after(cpu, op);
}

static void check_tsc(struct cpu *cpu, const struct op *op)
{
    cpu->op = op;
    if (cpu->cpl && (cpu->cr4 & CR4_TSD))
        cpu_fault_code(cpu, VEC_GP, 0);
}

static void set_pair(struct cpu *cpu, uint64_t value)
{
    cpu->regs[CPU_RAX] = (uint32_t)value;
    cpu->regs[CPU_RDX] = value >> 32;
}

HANDLER(rdtsc)
{
    check_tsc(cpu, op);
    set_pair(cpu, tsc_read(cpu));
    return op + 1;
}

HANDLER(rdtscp)
{
    check_tsc(cpu, op);
    set_pair(cpu, tsc_read(cpu));
    cpu->regs[CPU_RCX] = (uint32_t)cpu->tsc_aux;
    return op + 1;
}

/* There are no performance counters. */
HANDLER(rdpmc)
{
    cpu->op = op;
    cpu_fault_code(cpu, VEC_GP, 0);
}

HANDLER(rdmsr)
{
    uint64_t value = 0;
    cpu->op = op;
    cpu_need_ring0(cpu);
    if (!msr_read(cpu, REG32(cpu, CPU_RCX * 8), &value))
        cpu_fault_code(cpu, VEC_GP, 0);
    set_pair(cpu, value);
    return leave_after(cpu, op);
}

HANDLER(wrmsr)
{
    uint64_t value = (uint64_t)REG32(cpu, CPU_RDX * 8) << 32 | REG32(cpu, CPU_RAX * 8);
    cpu->op = op;
    cpu_need_ring0(cpu);
    if (!msr_write(cpu, REG32(cpu, CPU_RCX * 8), value))
        cpu_fault_code(cpu, VEC_GP, 0);
    return leave_after(cpu, op);
}

HANDLER(rdrand)
{
    uint64_t value = 0;
    bool ok = getrandom(&value, sizeof(value), GRND_NONBLOCK) == (ssize_t)sizeof(value);
    reg_set(cpu, op->rm, op->size, ok ? value : 0);
    cpu->raw = ok ? RAW_CF : 0;
    return op + 1;
}

/* ------------------------------------------------------------------ FS and GS bases */

HANDLER(swapgs)
{
    cpu->op = op;
    cpu_need_ring0(cpu);
    uint64_t base = cpu->segment[CPU_GS].base;
    cpu->segment[CPU_GS].base = cpu->seg_base[CPU_GS] = cpu->kernel_gs_base;
    cpu->kernel_gs_base = base;
    NEXT;
}

static void check_fsgsbase(struct cpu *cpu, const struct op *op)
{
    cpu->op = op;
    if (!(cpu->cr4 & CR4_FSGSBASE))
        cpu_fault(cpu, VEC_UD);
}

static unsigned base_segment(const struct op *op)
{
    return op->link ? CPU_GS : CPU_FS;
}

HANDLER(rdbase)
{
    check_fsgsbase(cpu, op);
    reg_set(cpu, op->rm, op->size, cpu->segment[base_segment(op)].base);
    NEXT;
}

HANDLER(wrbase)
{
    uint64_t base = reg_get(cpu, op->rm, op->size);
    check_fsgsbase(cpu, op);
    if (!is_canonical(base))
        cpu_fault_code(cpu, VEC_GP, 0);
    cpu->segment[base_segment(op)].base = cpu->seg_base[base_segment(op)] = base;
    NEXT;
}

/* ------------------------------------------------------------------ table */

#define BASE(text, n, fn, gs)                                                                      \
    {                                                                                              \
        .name = text, .map = MAP_0F, .code = 0xae, .prefix = PREFIX_F3, .ext = EXT(n),             \
        .form = FORM_E, .size = SIZE_Y, .attr = AT_REG | AT_ONLY64, .link = gs, .reg = ALL(fn)     \
    }
#define FIXED_RM(text, n, rm_, fn, attr_)                                                          \
    {                                                                                              \
        .name = text, .map = MAP_0F, .code = 0x01, .prefix = PREFIX_NONE, .ext = EXT_RM(n, rm_),   \
        .form = FORM_E, .attr = attr_, .reg = ALL(fn)                                              \
    }
/* With REX.R the first is CR8; `bytes` is the highest register that exists. */
#define CONTROL(n)                                                                                 \
    {.name = "mov",                                                                                \
            .map = MAP_0F,                                                                         \
            .code = 0x20,                                                                          \
            .ext = EXT(n),                                                                         \
            .form = FORM_CR,                                                                       \
            .size = SIZE_M,                                                                        \
            .bytes = 8,                                                                            \
            .reg = ALL(mov_from_cr)},                                                              \
    {                                                                                              \
        .name = "mov", .map = MAP_0F, .code = 0x22, .ext = EXT(n), .form = FORM_CR,                \
        .size = SIZE_M, .bytes = 8, .attr = AT_END, .reg = ALL(mov_to_cr)                          \
    }
#define FENCE(text, n)                                                                             \
    {                                                                                              \
        .name = text, .map = MAP_0F, .code = 0xae, .prefix = PREFIX_NONE, .ext = EXT(n),           \
        .form = FORM_E, .attr = AT_REG, .reg = ALL(fence)                                          \
    }

/* clang-format off */
static const struct opcode table[] = {
    CONTROL(0), CONTROL(2), CONTROL(3), CONTROL(4),
    {.name = "mov", .map = MAP_0F, .code = 0x21, .form = FORM_CR, .size = SIZE_M, .bytes = 7, .reg = ALL(mov_from_dr)},
    {.name = "mov", .map = MAP_0F, .code = 0x23, .form = FORM_CR, .size = SIZE_M, .bytes = 7, .attr = AT_END, .reg = ALL(mov_to_dr)},
    {.name = "clts", .map = MAP_0F, .code = 0x06, .reg = ALL(clts)},
    {.name = "invd", .map = MAP_0F, .code = 0x08, .reg = ALL(ring0_nothing)},
    {.name = "wbinvd", .map = MAP_0F, .code = 0x09, .reg = ALL(ring0_nothing)},
    {.name = "ud2", .map = MAP_0F, .code = 0x0b, .attr = AT_END, .reg = ALL(ud)},
    {.name = "ud1", .map = MAP_0F, .code = 0xb9, .form = FORM_GR, .size = SIZE_V, .attr = AT_END, .reg = ALL(ud), .mem = ALL(ud)},
    {.name = "ud0", .map = MAP_0F, .code = 0xff, .form = FORM_GR, .size = SIZE_V, .attr = AT_END, .reg = ALL(ud), .mem = ALL(ud)},
    {.name = "smsw", .map = MAP_0F, .code = 0x01, .ext = EXT(4), .form = FORM_E, .size = SIZE_V, .bytes = 2, .attr = AT_WRITES, .reg = ALL(smsw_r), .mem = ALL(smsw_m)},
    {.name = "lmsw", .map = MAP_0F, .code = 0x01, .ext = EXT(6), .form = FORM_E, .size = SIZE_W, .attr = AT_END, .reg = ALL(lmsw_r), .mem = ALL(lmsw_m)},
    {.name = "invlpg", .map = MAP_0F, .code = 0x01, .ext = EXT(7), .form = FORM_E, .attr = AT_MEM | AT_END, .mem = ALL(invlpg)},
    FIXED_RM("clac", 1, 2, clac, 0),
    FIXED_RM("stac", 1, 3, stac, 0),
    {.name = "swapgs", .map = MAP_0F, .code = 0x01, .ext = EXT_RM(7, 0), .form = FORM_E, .attr = AT_ONLY64, .reg = ALL(swapgs)},
    {.name = "rdtscp", .map = MAP_0F, .code = 0x01, .ext = EXT_RM(7, 1), .form = FORM_E, .reg = ALL(rdtscp)},
    {.name = "cli", .code = 0xfa, .reg = ALL(cli)},
    {.name = "sti", .code = 0xfb, .attr = AT_END, .reg = ALL(sti)},
    {.name = "clc", .code = 0xf8, .reg = ALL(clc)},
    {.name = "stc", .code = 0xf9, .reg = ALL(stc)},
    {.name = "cmc", .code = 0xf5, .reg = ALL(cmc)},
    {.name = "cld", .code = 0xfc, .reg = ALL(cld)},
    {.name = "std", .code = 0xfd, .reg = ALL(std)},
    {.name = "sahf", .code = 0x9e, .reg = ALL(sahf)},
    {.name = "lahf", .code = 0x9f, .reg = ALL(lahf)},
    {.name = "hlt", .code = 0xf4, .attr = AT_END, .reg = ALL(hlt)},
    {.name = "cpuid", .map = MAP_0F, .code = 0xa2, .attr = AT_END, .reg = ALL(cpuid)},
    {.name = "rdtsc", .map = MAP_0F, .code = 0x31, .reg = ALL(rdtsc)},
    {.name = "rdpmc", .map = MAP_0F, .code = 0x33, .reg = ALL(rdpmc)},
    {.name = "wrmsr", .map = MAP_0F, .code = 0x30, .attr = AT_END, .reg = ALL(wrmsr)},
    {.name = "rdmsr", .map = MAP_0F, .code = 0x32, .attr = AT_END, .reg = ALL(rdmsr)},
    {.name = "rdrand", .map = MAP_0F, .code = 0xc7, .prefix = PREFIX_NONE, .ext = EXT(6), .form = FORM_E, .size = SIZE_V, .attr = AT_REG, .reg = ALL(rdrand)},
    {.name = "rdrand", .map = MAP_0F, .code = 0xc7, .prefix = PREFIX_66, .ext = EXT(6), .form = FORM_E, .size = SIZE_V, .attr = AT_REG, .reg = ALL(rdrand)},
    BASE("rdfsbase", 0, rdbase, NULL),
    BASE("rdgsbase", 1, rdbase, table),
    BASE("wrfsbase", 2, wrbase, NULL),
    BASE("wrgsbase", 3, wrbase, table),
    FENCE("lfence", 5),
    FENCE("mfence", 6),
    FENCE("sfence", 7),
    {.name = "clflush", .map = MAP_0F, .code = 0xae, .prefix = PREFIX_NONE, .ext = EXT(7), .form = FORM_E, .attr = AT_MEM, .mem = ALL(clflush)},
};
/* clang-format on */

const struct opcode_list system_opcodes = {table, sizeof(table) / sizeof(table[0])};
