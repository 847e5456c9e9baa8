#include "cpu/blocks.h"
#include "cpu/fault.h"
#include "cpu/flags.h"
#include "cpu/fp.h"
#include "cpu/handler.h"
#include "cpu/interrupt.h"
#include "cpu/mmu.h"
#include "cpu/watch.h"

/* Instructions between two looks at interrupts and requests of other threads. */
#define SLICE 2000
/* No block has more; with less left, instructions are done one by one to stop exactly. */
#define BLOCK_MAX 64

#define DR6_BS 0x4000u
#define DR6_ALWAYS 0xffff0ff0u

/* ------------------------------------------------------------------ exceptions */

enum severity { BENIGN, CONTRIBUTORY, PAGE_FAULT };

static enum severity severity(unsigned vector)
{
    switch (vector) {
    case VEC_DE:
    case VEC_TS:
    case VEC_NP:
    case VEC_SS:
    case VEC_GP:
        return CONTRIBUTORY;
    case VEC_PF:
        return PAGE_FAULT;
    default:
        return BENIGN;
    }
}

/* A second fault during the delivery of a first makes a double fault, or is simply next (SDM vol.
 * 3, table 6-5). */
static bool makes_double(unsigned first, unsigned second)
{
    enum severity a = severity(first), b = severity(second);
    return (a == CONTRIBUTORY && b == CONTRIBUTORY) || (a == PAGE_FAULT && b != BENIGN);
}

static void deliver(struct cpu *cpu, const struct interrupt *interrupt)
{
    cpu->delivering = true;
    cpu->delivering_vector =
            interrupt->kind == INTERRUPT_EXCEPTION ? interrupt->vector : (uint8_t)VEC_NMI;
    interrupt_deliver(cpu, interrupt);
    cpu->op = NULL; /* its own accesses are no operation, whose place a fault to come could have */
    cpu->delivering = false;
    cpu->halted = false;
}

static bool is_trap(unsigned vector)
{
    return vector == VEC_BP || vector == VEC_OF || vector == VEC_DB || vector == VEC_DF;
}

/* The fault that was just raised goes to the guest; false: the CPU has shut down, or is to stop. */
static bool handle_fault(struct cpu *cpu)
{
    struct interrupt interrupt = {.vector = cpu->fault_vector,
            .kind = INTERRUPT_EXCEPTION,
            .has_error = cpu->fault_has_error,
            .error = cpu->fault_error,
            .fault = !is_trap(cpu->fault_vector)};
    if (cpu->config.stop_at_fault)
        return false;
    if (cpu->delivering && cpu->delivering_vector == VEC_DF) {
        cpu->shutdown = true;
        return false;
    }
    if (cpu->delivering && makes_double(cpu->delivering_vector, interrupt.vector)) {
        interrupt.vector = VEC_DF;
        interrupt.has_error = true;
        interrupt.error = 0;
    }
    if (!cpu->delivering) {
        cpu->first_vector = interrupt.vector;
        cpu->first_has_error = interrupt.has_error;
        cpu->first_error = interrupt.error;
    }
    cpu->stats.exceptions[interrupt.vector & 31]++;
    deliver(cpu, &interrupt);
    cpu->budget--; /* a handler that faults at once would never use it up */
    return true;
}

/* A debug trap after an instruction. */
static void raise_debug(struct cpu *cpu)
{
    cpu->dr6 |= cpu->pending_db;
    cpu->pending_db = 0;
    cpu->dr7 &= ~0x2000ull;
    cpu->op = NULL;
    cpu_fault(cpu, VEC_DB);
}

/* ------------------------------------------------------------------ interrupts */

static void take_nmi(struct cpu *cpu)
{
    atomic_fetch_and(&cpu->attention, ~ATTEND_NMI);
    cpu->nmi_masked = true;
    cpu->halted = false;
    struct interrupt interrupt = {.vector = VEC_NMI, .kind = INTERRUPT_EXTERNAL};
    deliver(cpu, &interrupt);
}

static void take_interrupt(struct cpu *cpu)
{
    const struct cpu_ops *ops = cpu->config.ops;
    fp_leave(cpu);
    int vector = ops->take_interrupt ? ops->take_interrupt(cpu->config.owner) : -1;
    if (vector < 0)
        return;
    cpu->halted = false;
    cpu->stats.interrupts++;
    struct interrupt interrupt = {.vector = (uint8_t)vector, .kind = INTERRUPT_EXTERNAL};
    deliver(cpu, &interrupt);
}

static void look_at_interrupts(struct cpu *cpu)
{
    unsigned attention = atomic_load_explicit(&cpu->attention, memory_order_acquire);
    if (likely(!attention))
        return;
    if (attention & ATTEND_PAGES)
        blocks_take_posted(cpu);
    if (cpu->shadow)
        return;
    if ((attention & ATTEND_NMI) && !cpu->nmi_masked)
        take_nmi(cpu);
    else if ((attention & ATTEND_INTERRUPT) && (cpu->eflags & FLAG_IF))
        take_interrupt(cpu);
}

/* ------------------------------------------------------------------ slices */

static void account(struct cpu *cpu)
{
    int64_t done = cpu->slice - cpu->left;
    cpu->executed += (uint64_t)done;
    cpu->budget -= done;
    cpu->slice = cpu->left = 0;
}

static void check_fetch(struct cpu *cpu)
{
    const struct cpu_segment *cs = &cpu->segment[CPU_CS];
    if (cpu->mode != MODE_64 && cpu->rip > cs->limit)
        cpu_fault_code(cpu, VEC_GP, 0);
}

static uint64_t code_linear(const struct cpu *cpu)
{
    if (cpu->mode == MODE_64)
        return cpu->rip;
    return (uint32_t)(cpu->segment[CPU_CS].base + cpu->rip);
}

static void dispatch(struct cpu *cpu, const struct op *ops, uint64_t linear)
{
    cpu->regs[REG_PAGE] = linear & PAGE_MASK;
    while (ops)
        ops = ops->fn(cpu, ops);
    cpu->op = NULL;
}

static void check_breakpoint(struct cpu *cpu, uint64_t linear)
{
    uint32_t hit = watch_execution(cpu, linear);
    if (hit && !(cpu->eflags & FLAG_RF)) {
        cpu->dr6 |= hit;
        cpu_fault(cpu, VEC_DB);
    }
}

/* One instruction by itself: single step, interrupt shadow, breakpoints, end of the budget, and
 * after a write to the code being run. */
static void run_single(struct cpu *cpu)
{
    cpu->step_trap = cpu->eflags & FLAG_TF;
    uint64_t linear = code_linear(cpu);
    check_fetch(cpu);
    if (cpu->watching && !cpu->hold_debug)
        check_breakpoint(cpu, linear);
    cpu->hold_debug = false;
    cpu->eflags &= ~FLAG_RF; /* now, since IRET may set it */
    cpu->chain_from = NULL;
    cpu->stepping = true;
    cpu->shadow = false;
    const struct op *ops = blocks_single(cpu, linear);
    cpu->slice = cpu->left = 1;
    dispatch(cpu, ops, linear);
    cpu->stepping = cpu->restart = false;
    cpu->chain_from = NULL;
    account(cpu);
    if (cpu->step_trap)
        cpu->pending_db |= DR6_BS;
}

static void run_slice(struct cpu *cpu)
{
    cpu->chain_from = NULL; /* an interrupt may have come between that branch and its target */
    int64_t room = cpu->budget - BLOCK_MAX; /* the last block may go past its end */
    cpu->slice = cpu->left = room < SLICE ? room : SLICE;
    do {
        uint64_t linear = code_linear(cpu);
        check_fetch(cpu);
        dispatch(cpu, blocks_find(cpu, linear), linear);
    } while (cpu->left > 0 && !cpu->slow);
    account(cpu);
}

static bool needs_single(const struct cpu *cpu)
{
    return cpu->shadow || cpu->restart || cpu->watching || (cpu->eflags & (FLAG_TF | FLAG_RF)) ||
           cpu->budget <= BLOCK_MAX;
}

/* ------------------------------------------------------------------ the loop */

static bool must_stop(struct cpu *cpu, struct cpu_exit *exit)
{
    unsigned attention = atomic_load_explicit(&cpu->attention, memory_order_acquire);
    if (attention & ATTEND_KICK) {
        atomic_fetch_and(&cpu->attention, ~ATTEND_KICK);
        exit->reason = CPU_EXIT_KICK;
    } else if (cpu->halted) {
        exit->reason = CPU_EXIT_HLT;
    } else if (cpu->budget <= (cpu->config.stop_early ? BLOCK_MAX : 0)) {
        exit->reason = CPU_EXIT_BUDGET;
    } else {
        return false;
    }
    return true;
}

static void run_until_exit(struct cpu *cpu, struct cpu_exit *exit)
{
    do {
        cpu->slow = false;
        if (unlikely(cpu->pending_db) && !cpu->hold_debug)
            raise_debug(cpu);
        look_at_interrupts(cpu);
        if (must_stop(cpu, exit))
            return;
        if (unlikely(needs_single(cpu)))
            run_single(cpu);
        else
            run_slice(cpu);
    } while (true);
}

static void fault_exit(const struct cpu *cpu, struct cpu_exit *exit)
{
    exit->reason = cpu->shutdown ? CPU_EXIT_SHUTDOWN : CPU_EXIT_FAULT;
    exit->vector = cpu->shutdown ? cpu->first_vector : cpu->fault_vector;
    exit->has_error = cpu->shutdown ? cpu->first_has_error : cpu->fault_has_error;
    exit->error_code = cpu->shutdown ? cpu->first_error : cpu->fault_error;
}

void cpu_run(struct cpu *cpu, uint64_t budget, struct cpu_exit *exit)
{
    *exit = (struct cpu_exit){.reason = CPU_EXIT_SHUTDOWN, .vector = cpu->first_vector};
    cpu->budget = budget > INT64_MAX ? INT64_MAX : (int64_t)budget;
    cpu->executed = 0;
    cpu->slice = cpu->left = 0;
    if (cpu->shutdown)
        return;
    int why = setjmp(cpu->leave);
    if (why) {
        account(cpu);
        cpu->stepping = false;
        cpu->restart = why == LEAVE_RESTART;
        cpu->chain_from = NULL;
    }
    if (why == LEAVE_FAULT && !handle_fault(cpu))
        fault_exit(cpu, exit);
    else
        run_until_exit(cpu, exit);
    fp_leave(cpu);
    cpu->delivering = false;
    exit->executed = cpu->executed;
    cpu->stats.instructions += cpu->executed;
}

/* ------------------------------------------------------------------ from other threads */

void cpu_kick(struct cpu *cpu)
{
    atomic_fetch_or(&cpu->attention, ATTEND_KICK);
}

void cpu_set_interrupt(struct cpu *cpu, bool level)
{
    if (level)
        atomic_fetch_or(&cpu->attention, ATTEND_INTERRUPT);
    else
        atomic_fetch_and(&cpu->attention, ~ATTEND_INTERRUPT);
}

void cpu_nmi(struct cpu *cpu)
{
    atomic_fetch_or(&cpu->attention, ATTEND_NMI);
}

bool cpu_has_work(const struct cpu *cpu)
{
    unsigned attention = atomic_load(&cpu->attention);
    if ((attention & ATTEND_NMI) && !cpu->nmi_masked)
        return true;
    return (attention & ATTEND_KICK) || ((attention & ATTEND_INTERRUPT) && (cpu->eflags & FLAG_IF));
}
