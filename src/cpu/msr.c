#include "cpu/msr.h"

#include <stddef.h>
#include <time.h>
#include <x86intrin.h>

#include "base/cleanup.h"
#include "cpu/control.h"
#include "cpu/fp.h"
#include "cpu/mmu.h"
#include "cpu/segment.h"

#define MSR_TSC 0x10u
#define MSR_TSC_ADJUST 0x3bu
#define MSR_EFER 0xc0000080u
#define MSR_FS_BASE 0xc0000100u
#define MSR_GS_BASE 0xc0000101u

/* ------------------------------------------------------------------ time */

static uint64_t tsc_source(struct cpu *cpu)
{
    struct timespec now;
    if (cpu->config.ops->tsc) {
        fp_leave(cpu);
        return cpu->config.ops->tsc(cpu->config.owner);
    }
    if (!cpu->config.tsc_hz)
        return __rdtsc();
    clock_gettime(CLOCK_MONOTONIC, &now);
    unsigned __int128 ns = (unsigned __int128)(uint64_t)now.tv_sec * 1000000000u;
    return (uint64_t)((ns + (uint64_t)now.tv_nsec) * cpu->config.tsc_hz / 1000000000u);
}

uint64_t tsc_read(struct cpu *cpu)
{
    return tsc_source(cpu) + cpu->tsc_offset;
}

/* ------------------------------------------------------------------ registers by table */

enum msr_rule { RULE_ANY, RULE_ADDRESS, RULE_32, RULE_FIXED, RULE_IGNORED };

struct msr_info {
    uint32_t index;
    enum msr_rule rule;
    uint16_t offset; /* of the value in struct cpu; 0: reads as zero */
};

#define FIELD(name) (uint16_t) offsetof(struct cpu, name)

static const struct msr_info registers[] = {
        {0x174, RULE_32, FIELD(sysenter_cs)}, {0x175, RULE_ADDRESS, FIELD(sysenter_esp)},
        {0x176, RULE_ADDRESS, FIELD(sysenter_eip)}, {0x179, RULE_FIXED, 0}, /* MCG_CAP: no banks */
        {0x17a, RULE_ANY, FIELD(mcg_status)}, {0x1a0, RULE_ANY, FIELD(misc_enable)},
        {0x277, RULE_ANY, FIELD(pat)}, {0x2ff, RULE_ANY, FIELD(mtrr_def)},
        {0xc0000081, RULE_ANY, FIELD(star)}, {0xc0000082, RULE_ADDRESS, FIELD(lstar)},
        {0xc0000083, RULE_ADDRESS, FIELD(cstar)}, {0xc0000084, RULE_32, FIELD(sfmask)},
        {0xc0000102, RULE_ADDRESS, FIELD(kernel_gs_base)}, {0xc0000103, RULE_32, FIELD(tsc_aux)},
        {0xfe, RULE_FIXED, 0},                                  /* MTRRCAP, filled below */
        {0x8b, RULE_IGNORED, 0},                                /* microcode level */
        {0x79, RULE_IGNORED, 0}, {0xc0010010, RULE_IGNORED, 0}, /* SYSCFG */
        {0xc0010015, RULE_IGNORED, 0},                          /* HWCR */
        {0xc0010055, RULE_IGNORED, 0},                          /* interrupt pending message */
        {0xc0011023, RULE_IGNORED, 0}, {0xc0011029, RULE_IGNORED, 0}, {0x2a, RULE_IGNORED, 0},
        {0x1d9, RULE_IGNORED, 0}, /* DEBUGCTL: no branch records */
};

/* What a snapshot carries; a subset of what exists. */
static const uint32_t carried[] = {MSR_TSC, MSR_TSC_ADJUST, 0x174, 0x175, 0x176, 0x17a, 0x1a0,
        0x200, 0x201, 0x202, 0x203, 0x204, 0x205, 0x206, 0x207, 0x208, 0x209, 0x20a, 0x20b, 0x20c,
        0x20d, 0x20e, 0x20f, 0x250, 0x258, 0x259, 0x268, 0x269, 0x26a, 0x26b, 0x26c, 0x26d, 0x26e,
        0x26f, 0x277, 0x2ff, 0xc0000081, 0xc0000082, 0xc0000083, 0xc0000084, MSR_FS_BASE,
        MSR_GS_BASE, 0xc0000102, 0xc0000103};

static const uint32_t fixed_mtrrs[] = {
        0x250, 0x258, 0x259, 0x268, 0x269, 0x26a, 0x26b, 0x26c, 0x26d, 0x26e, 0x26f};

#define MTRRCAP_VALUE 0x508u /* write-combining, fixed ranges, 8 variable ranges */

static const struct msr_info *find(uint32_t index)
{
    for (size_t i = 0; i < ARRAY_SIZE(registers); i++)
        if (registers[i].index == index)
            return &registers[i];
    return NULL;
}

static uint64_t *field(struct cpu *cpu, const struct msr_info *info)
{
    return info->offset ? (uint64_t *)(void *)((char *)cpu + info->offset) : NULL;
}

/* Memory type ranges are kept and shown; all memory behaves as write-back. */
static uint64_t *mtrr(struct cpu *cpu, uint32_t index)
{
    if (index - 0x200 < 16)
        return &cpu->mtrr_var[index - 0x200];
    for (size_t i = 0; i < ARRAY_SIZE(fixed_mtrrs); i++)
        if (fixed_mtrrs[i] == index)
            return &cpu->mtrr_fixed[i];
    return NULL;
}

static bool read_own(struct cpu *cpu, uint32_t index, uint64_t *value)
{
    const struct msr_info *info = find(index);
    const uint64_t *range = mtrr(cpu, index);
    if (range)
        *value = *range;
    else if (info)
        *value = field(cpu, info) ? *field(cpu, info) : index == 0xfe ? MTRRCAP_VALUE : 0;
    else if (index == MSR_TSC)
        *value = tsc_read(cpu);
    else if (index == MSR_TSC_ADJUST)
        *value = cpu->tsc_adjust;
    else if (index == MSR_EFER)
        *value = cpu->efer;
    else if (index == MSR_FS_BASE || index == MSR_GS_BASE)
        *value = cpu->segment[CPU_FS + (index - MSR_FS_BASE)].base;
    else
        return false;
    return true;
}

static bool write_table(struct cpu *cpu, const struct msr_info *info, uint64_t value)
{
    if (info->rule == RULE_IGNORED)
        return true;
    if (info->rule == RULE_FIXED || (info->rule == RULE_ADDRESS && !is_canonical(value)) ||
            (info->rule == RULE_32 && value >> 32))
        return false;
    *field(cpu, info) = value;
    return true;
}

static bool write_base(struct cpu *cpu, unsigned seg, uint64_t value)
{
    if (!is_canonical(value))
        return false;
    cpu->segment[seg].base = value;
    cpu->seg_base[seg] = value;
    return true;
}

/* Returns 1 when written, 0 when not allowed, -1 when the register is not the CPU's own. */
static int write_own(struct cpu *cpu, uint32_t index, uint64_t value)
{
    const struct msr_info *info = find(index);
    uint64_t *range = mtrr(cpu, index);
    if (range) {
        *range = value;
    } else if (info) {
        return write_table(cpu, info, value);
    } else if (index == MSR_TSC) {
        uint64_t change = value - tsc_read(cpu);
        cpu->tsc_offset += change;
        cpu->tsc_adjust += change;
    } else if (index == MSR_TSC_ADJUST) {
        cpu->tsc_offset += value - cpu->tsc_adjust;
        cpu->tsc_adjust = value;
    } else if (index == MSR_EFER) {
        control_write_efer(cpu, value);
    } else if (index == MSR_FS_BASE || index == MSR_GS_BASE) {
        return write_base(cpu, CPU_FS + (index - MSR_FS_BASE), value);
    } else {
        return -1;
    }
    return 1;
}

bool msr_read(struct cpu *cpu, uint32_t index, uint64_t *value)
{
    const struct cpu_ops *ops = cpu->config.ops;
    if (read_own(cpu, index, value))
        return true;
    fp_leave(cpu);
    return ops->msr_read && ops->msr_read(cpu->config.owner, index, value);
}

bool msr_write(struct cpu *cpu, uint32_t index, uint64_t value)
{
    const struct cpu_ops *ops = cpu->config.ops;
    int done = write_own(cpu, index, value);
    if (done >= 0)
        return done;
    fp_leave(cpu);
    return ops->msr_write && ops->msr_write(cpu->config.owner, index, value);
}

/* ------------------------------------------------------------------ for snapshots */

size_t cpu_msr_list(const uint32_t **ret_list)
{
    *ret_list = carried;
    return ARRAY_SIZE(carried);
}

int cpu_get_msr(struct cpu *cpu, uint32_t index, uint64_t *value)
{
    return read_own(cpu, index, value) ? 0 : -ENOENT;
}

int cpu_set_msr(struct cpu *cpu, uint32_t index, uint64_t value)
{
    if (index == MSR_EFER)
        return -ENOENT; /* with the control registers, in struct cpu_state */
    if (index == MSR_TSC) {
        cpu->tsc_offset = value - tsc_source(cpu);
        return 0;
    }
    if (index == MSR_TSC_ADJUST) {
        cpu->tsc_adjust = value;
        return 0;
    }
    int done = write_own(cpu, index, value);
    return done > 0 ? 0 : done < 0 ? -ENOENT : -EINVAL;
}

uint64_t cpu_get_tsc_offset(const struct cpu *cpu)
{
    return cpu->tsc_offset;
}

void cpu_set_tsc_offset(struct cpu *cpu, uint64_t offset)
{
    cpu->tsc_offset = offset;
}
