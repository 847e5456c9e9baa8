#include "cpu/control.h"

#include "cpu/fault.h"
#include "cpu/mmu.h"
#include "cpu/segment.h"

/* Paging is switched on or off: long mode becomes active with it, or ends. */
static void switch_paging(struct cpu *cpu, bool on)
{
    if (on && (cpu->efer & EFER_LME)) {
        if (!(cpu->cr4 & CR4_PAE) || cpu->segment[CPU_CS].l)
            cpu_fault_code(cpu, VEC_GP, 0);
        cpu->efer |= EFER_LMA;
    } else if (!on && (cpu->efer & EFER_LMA)) {
        if (cpu->mode == MODE_64)
            cpu_fault_code(cpu, VEC_GP, 0);
        cpu->efer &= ~(uint64_t)EFER_LMA;
    }
}

void control_write_cr0(struct cpu *cpu, uint64_t value)
{
    uint64_t changed = cpu->cr0 ^ value;
    bool bad = (value >> 32) || ((value & CR0_PG) && !(value & CR0_PE)) ||
               ((value & CR0_NW) && !(value & CR0_CD));
    if (bad)
        cpu_fault_code(cpu, VEC_GP, 0);
    if (changed & CR0_PG)
        switch_paging(cpu, value & CR0_PG);
    cpu->cr0 = (value & CR0_KNOWN) | CR0_ET;
    if ((changed & CR0_PE) && !(value & CR0_PE))
        cpu->cpl = 0;
    if (changed & (CR0_PG | CR0_PE | CR0_WP))
        mmu_flush(cpu);
    segment_changed(cpu);
}

void control_write_cr3(struct cpu *cpu, uint64_t value)
{
    if (cpu_long_mode(cpu) && (value >> PHYSICAL_BITS))
        cpu_fault_code(cpu, VEC_GP, 0);
    cpu->cr3 = value;
    mmu_flush_local(cpu);
}

void control_write_cr4(struct cpu *cpu, uint64_t value)
{
    uint64_t changed = cpu->cr4 ^ value;
    if ((value & ~(uint64_t)CR4_KNOWN) || (cpu_long_mode(cpu) && !(value & CR4_PAE)))
        cpu_fault_code(cpu, VEC_GP, 0);
    cpu->cr4 = value;
    if (changed & (CR4_PSE | CR4_PAE | CR4_PGE | CR4_SMEP | CR4_SMAP))
        mmu_flush(cpu);
}

void control_write_efer(struct cpu *cpu, uint64_t value)
{
    uint64_t changed = cpu->efer ^ value;
    if ((value & ~(uint64_t)(EFER_KNOWN | EFER_LMA)) ||
            ((changed & EFER_LME) && (cpu->cr0 & CR0_PG)))
        cpu_fault_code(cpu, VEC_GP, 0);
    cpu->efer = (value & EFER_KNOWN) | (cpu->efer & EFER_LMA);
    if (changed & EFER_NXE)
        mmu_flush(cpu);
}
