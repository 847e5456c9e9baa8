#include "cpu/fp.h"

#include <x86intrin.h>

#include "cpu/fault.h"

void fp_load_mxcsr(struct cpu *cpu)
{
    cpu->host_mxcsr = _mm_getcsr();
    _mm_setcsr(cpu->mxcsr | MXCSR_MASKS);
    cpu->mxcsr_live = true;
}

static void store_mxcsr(struct cpu *cpu)
{
    cpu->mxcsr |= _mm_getcsr() & MXCSR_FLAGS;
    _mm_setcsr(cpu->host_mxcsr);
    cpu->mxcsr_live = false;
}

uint32_t fp_get_mxcsr(struct cpu *cpu)
{
    if (cpu->mxcsr_live)
        store_mxcsr(cpu);
    return cpu->mxcsr;
}

void fp_set_mxcsr(struct cpu *cpu, uint32_t value)
{
    if (cpu->mxcsr_live)
        store_mxcsr(cpu);
    cpu->mxcsr = value & MXCSR_KNOWN;
}

void fp_load_x87(struct cpu *cpu)
{
    __asm__ volatile("frstor %0" : : "m"(cpu->x87));
    cpu->x87_live = true;
}

void fp_store_x87(struct cpu *cpu)
{
    if (!cpu->x87_live)
        return;
    __asm__ volatile("fnsave %0" : "=m"(cpu->x87));
    cpu->x87_live = false;
}

void fp_leave_slow(struct cpu *cpu)
{
    if (cpu->mxcsr_live)
        store_mxcsr(cpu);
    fp_store_x87(cpu);
}

void fp_check_sse(struct cpu *cpu, const struct op *op)
{
    cpu->op = op;
    if ((cpu->cr0 & CR0_EM) || !(cpu->cr4 & CR4_OSFXSR))
        cpu_fault(cpu, VEC_UD);
    if (cpu->cr0 & CR0_TS)
        cpu_fault(cpu, VEC_NM);
}

void fp_check_x87(struct cpu *cpu, const struct op *op)
{
    cpu->op = op;
    if (cpu->cr0 & (CR0_EM | CR0_TS))
        cpu_fault(cpu, VEC_NM);
}

void fp_summarize(struct cpu *cpu)
{
    cpu->x87.sw &= ~0x8080u;
    if (cpu->x87.sw & ~cpu->x87.cw & 0x3f)
        cpu->x87.sw |= 0x8080;
}
