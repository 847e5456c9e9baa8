#include "cpu/fault.h"

#include "cpu/tlb.h"

static _Noreturn void leave(struct cpu *cpu, int why)
{
    const struct op *op = cpu->op;
    if (op && !cpu->delivering) { /* else RIP is where the first exception was */
        cpu->rip = rip_of_linear(cpu, op_linear(cpu, op));
        cpu->left -= op->count - 1;
    }
    cpu->op = NULL;
    cpu->write_pending = 0;
    mmu_select(cpu);
    longjmp(cpu->leave, why);
}

static _Noreturn void raise_fault(
        struct cpu *cpu, enum cpu_vector vector, bool has_error, uint32_t code)
{
    cpu->fault_vector = (uint8_t)vector;
    cpu->fault_has_error = has_error;
    cpu->fault_error = code;
    leave(cpu, LEAVE_FAULT);
}

void cpu_fault(struct cpu *cpu, enum cpu_vector vector)
{
    raise_fault(cpu, vector, false, 0);
}

void cpu_fault_code(struct cpu *cpu, enum cpu_vector vector, uint32_t code)
{
    raise_fault(cpu, vector, cpu_protected(cpu), code);
}

void cpu_page_fault(struct cpu *cpu, uint64_t linear, uint32_t code)
{
    cpu->cr2 = linear;
    raise_fault(cpu, VEC_PF, true, code);
}

void cpu_restart(struct cpu *cpu)
{
    leave(cpu, LEAVE_RESTART);
}

void cpu_need_ring0(struct cpu *cpu)
{
    if (cpu->cpl)
        cpu_fault_code(cpu, VEC_GP, 0);
}
