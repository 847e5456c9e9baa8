/*
 * A software x86-64 CPU: what a machine needs to run guest code where there is no hypervisor.
 *
 * The CPU knows no machine. What lies outside it reaches it in two ways: guest-physical memory is a
 * `struct cpu_space`, a few slots of host memory shared by all vCPUs; everything else (device
 * memory, ports, interrupt controller, the machine's own MSRs) is a call through `struct cpu_ops`.
 *
 * Threads: a `struct cpu` belongs to the one thread that calls cpu_run() on it, and its callbacks
 * run on that thread, inside cpu_run(). Only the functions marked "any thread" may be called from
 * elsewhere meanwhile. Guest atomic instructions are host atomic instructions, so that several
 * vCPUs and device threads may share the memory.
 *
 * How the code is run (decoded blocks today) is hidden behind cpu_run(): a translator fits here.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct cpu;
struct cpu_space;

/* ------------------------------------------------------------------ guest-physical memory */

#define CPU_SLOTS_MAX 64
#define CPU_SLOT_READONLY 1u /* writes go to mmio_write() */

/* An empty space. Owned by the machine; lives longer than every CPU made with it. */
int cpu_space_new(struct cpu_space **ret, struct error *err);
void cpu_space_free(struct cpu_space *space);

/*
 * Maps `size` bytes of host memory at guest-physical address `gpa` as slot number `slot`
 * (below CPU_SLOTS_MAX), replacing what the slot was; size 0 takes it away. Addresses and size are
 * multiples of 4096, slots do not overlap. The memory stays the caller's. Not while a CPU runs.
 * -EINVAL, -EEXIST (overlap), -ENOMEM.
 */
int cpu_space_map(struct cpu_space *space, unsigned slot, uint64_t gpa, uint64_t size, void *host,
        unsigned flags, struct error *err);

/*
 * To be called by whoever wrote guest memory behind the CPUs' back (device DMA, a loader while
 * CPUs run): marks the pages dirty and makes every CPU forget what it decoded there. Any thread.
 */
void cpu_space_written(struct cpu_space *space, uint64_t gpa, uint64_t length);

/*
 * Dirty tracking of a slot, for snapshots: on or off (off at first), and "copy the bitmap, one bit
 * for each 4096 bytes, to `bits` and clear it". After the fetch, a page written again is marked
 * again; CPUs must be outside cpu_run() during both calls.
 */
int cpu_space_dirty_enable(struct cpu_space *space, unsigned slot, bool on, struct error *err);
void cpu_space_dirty_fetch(struct cpu_space *space, unsigned slot, uint64_t *bits);

/* ------------------------------------------------------------------ what lies outside */

/* Any function may be NULL: reads then give all ones, writes are lost, MSRs fault. `owner` is the
 * pointer given in the configuration. */
struct cpu_ops {
    /* 1, 2, 4 or 8 bytes, never across a 4096-byte boundary; for addresses in no slot, and writes
     * to read-only slots. */
    uint64_t (*mmio_read)(void *owner, uint64_t gpa, unsigned size);
    void (*mmio_write)(void *owner, uint64_t gpa, uint64_t value, unsigned size);

    /* 1, 2 or 4 bytes. */
    uint32_t (*port_in)(void *owner, uint16_t port, unsigned size);
    void (*port_out)(void *owner, uint16_t port, uint32_t value, unsigned size);

    /* The interrupt line is up and the guest takes interrupts: acknowledge at the controller and
     * return the vector 0-255, or -1 if there is none after all. The callee lowers the line
     * (cpu_set_interrupt()) when nothing is left that could be delivered. */
    int (*take_interrupt)(void *owner);

    /* CR8, the task priority in bits 0-3. Raising it may lower the interrupt line. */
    uint8_t (*cr8_read)(void *owner);
    void (*cr8_write)(void *owner, uint8_t value);

    /* MSRs that the CPU does not have itself (APIC base, x2APIC, kvmclock, TSC deadline …); false
     * means #GP. */
    bool (*msr_read)(void *owner, uint32_t msr, uint64_t *value);
    bool (*msr_write)(void *owner, uint32_t msr, uint64_t value);

    /* The machine may change or add to a CPUID leaf: eax ebx ecx edx as the CPU fills them, zeros
     * for leaves that it does not know. */
    void (*cpuid)(void *owner, uint32_t leaf, uint32_t subleaf, uint32_t regs[4]);

    /* The time stamp counter before the guest's own offset; NULL: the host's, scaled to tsc_hz. */
    uint64_t (*tsc)(void *owner);
};

struct cpu_config {
    const struct cpu_ops *ops;
    void *owner;
    struct cpu_space *space;
    unsigned id;        /* initial APIC id, 0 … */
    unsigned count;     /* vCPUs of the machine, told in CPUID; 0 means 1 */
    uint64_t tsc_hz;    /* 0: the host's own frequency */
    bool stop_early;    /* cpu_run() may return some instructions before its budget is used up */
    bool stop_at_fault; /* an exception ends cpu_run() (CPU_EXIT_FAULT) instead of going
                           through the guest's interrupt table */
};

/* A CPU in its reset state (real mode, F000:FFF0). -ENOMEM, -EINVAL. */
int cpu_new(const struct cpu_config *config, struct cpu **ret, struct error *err);
void cpu_free(struct cpu *cpu); /* outside cpu_run() */

/* ------------------------------------------------------------------ running */

enum cpu_exit_reason {
    CPU_EXIT_BUDGET = 0, /* the budget is used up */
    CPU_EXIT_HLT,        /* halted; run it again once an interrupt, NMI or INIT is due */
    CPU_EXIT_KICK,       /* cpu_kick() */
    CPU_EXIT_SHUTDOWN,   /* triple fault */
    CPU_EXIT_FAULT,      /* only with stop_at_fault */
};

struct cpu_exit {
    enum cpu_exit_reason reason;
    uint8_t vector; /* CPU_EXIT_FAULT, and the first of the three for CPU_EXIT_SHUTDOWN */
    bool has_error; /* that exception has an error code */
    uint32_t error_code;
    uint64_t executed; /* instructions completed by this call */
};

/*
 * Runs guest code until an exit, at most `budget` instructions (exact unless the configuration has
 * stop_early; an exception on its way to its handler counts as one), and fills `exit`. A halted CPU
 * with no deliverable interrupt returns CPU_EXIT_HLT at once.
 */
void cpu_run(struct cpu *cpu, uint64_t budget, struct cpu_exit *exit);

/* The thread in cpu_run() returns soon with CPU_EXIT_KICK; if none is in there, the next call
 * does. Any thread. */
void cpu_kick(struct cpu *cpu);

/* The level of the interrupt controller's line to this CPU. Any thread; the machine itself wakes a
 * vCPU thread that it had put to sleep after CPU_EXIT_HLT. */
void cpu_set_interrupt(struct cpu *cpu, bool level);

/* One non-maskable interrupt. Any thread. */
void cpu_nmi(struct cpu *cpu);

/* Whether an interrupt or NMI would be taken now (used to decide whether to sleep after HLT). Only
 * the owning thread gets an exact answer. */
bool cpu_has_work(const struct cpu *cpu);

/* ------------------------------------------------------------------ state */

/* The fields and their names follow the kernel's kvm_segment, kvm_sregs, kvm_regs, kvm_fpu and
 * kvm_debugregs, so that one snapshot format serves both accelerators. */
struct cpu_segment {
    uint64_t base;
    uint32_t limit; /* in bytes, granularity already applied */
    uint16_t selector;
    uint8_t type, present, dpl, db, s, l, g, avl;
    uint8_t unusable;
};

struct cpu_table {
    uint64_t base;
    uint16_t limit;
};

enum cpu_segment_name { CPU_ES, CPU_CS, CPU_SS, CPU_DS, CPU_FS, CPU_GS, CPU_SEGMENTS };

enum cpu_reg_name {
    CPU_RAX,
    CPU_RCX,
    CPU_RDX,
    CPU_RBX,
    CPU_RSP,
    CPU_RBP,
    CPU_RSI,
    CPU_RDI,
    CPU_R8,
    CPU_R9,
    CPU_R10,
    CPU_R11,
    CPU_R12,
    CPU_R13,
    CPU_R14,
    CPU_R15,
    CPU_REGS
};

/* MSRs that the CPU has itself and that a snapshot carries, by their architectural number; see
 * cpu_msr_list(). */
struct cpu_msr {
    uint32_t index;
    uint64_t value;
};

struct cpu_state {
    uint64_t gpr[CPU_REGS]; /* by enum cpu_reg_name: the encoding's order */
    uint64_t rip, rflags;

    struct cpu_segment segment[CPU_SEGMENTS], tr, ldt;
    struct cpu_table gdt, idt;
    uint64_t cr0, cr2, cr3, cr4, efer;

    uint16_t fcw, fsw;
    uint8_t ftwx; /* abridged, as in FXSAVE: a bit is 1 when the register is in use */
    uint16_t last_opcode;
    uint64_t last_ip, last_dp;
    uint8_t fpr[8][16]; /* ST(0) … ST(7), 10 bytes each */
    uint8_t xmm[16][16];
    uint32_t mxcsr;

    uint64_t db[4], dr6, dr7;

    bool halted;
    bool interrupt_shadow; /* after STI or a load of SS: one instruction without interrupts */
    bool nmi_pending;
    bool nmi_masked; /* inside an NMI handler, until IRET */
};

/* Whole state out and in; from the owning thread, outside cpu_run(). Setting checks nothing but
 * what would hurt the host: reserved bits are dropped. */
void cpu_get_state(struct cpu *cpu, struct cpu_state *state);
void cpu_set_state(struct cpu *cpu, const struct cpu_state *state);

/* As the INIT signal does: the reset state, memory type registers, TSC and the like kept. Follow it
 * with cpu_set_state() for the start-up address. */
void cpu_reset(struct cpu *cpu);

/* The numbers of the MSRs that the CPU has itself (STAR … KERNEL_GS_BASE, SYSENTER_*, PAT, MTRRs,
 * TSC, TSC_AUX, TSC_ADJUST …), and access to one by number: -ENOENT for others. FS and GS base are
 * in the segments and in this list. */
size_t cpu_msr_list(const uint32_t **ret_list);
int cpu_get_msr(struct cpu *cpu, uint32_t index, uint64_t *value);
int cpu_set_msr(struct cpu *cpu, uint32_t index, uint64_t value);

/* What the guest's TSC is ahead of its source (cpu_ops.tsc, the host's): the same on all vCPUs
 * keeps them together. Outside cpu_run(). */
uint64_t cpu_get_tsc_offset(const struct cpu *cpu);
void cpu_set_tsc_offset(struct cpu *cpu, uint64_t offset);

/* The CPUID leaf as the guest sees it, the machine's changes included. */
void cpu_cpuid(struct cpu *cpu, uint32_t leaf, uint32_t subleaf, uint32_t regs[4]);

/* Guest-linear to guest-physical as a supervisor's read would go, accessed bits untouched; false:
 * not mapped. For debuggers and for the machine's own emulation. */
bool cpu_translate(struct cpu *cpu, uint64_t linear, uint64_t *ret_gpa);

/* ------------------------------------------------------------------ statistics */

struct cpu_stats {
    uint64_t instructions;
    uint64_t blocks_decoded;
    uint64_t code_invalidations;
    uint64_t tlb_misses;
    uint64_t tlb_flushes;
    uint64_t interrupts;
    uint64_t exceptions[32];
};

/* The counts since the start. */
void cpu_get_stats(const struct cpu *cpu, struct cpu_stats *stats);

/* Opcodes that this CPU does not know and that raised #UD, by name ("vex.0f58", "0f38f6") and how
 * often; returns how many names there are, at most `max` are filled. The names are static. */
struct cpu_unknown {
    const char *name;
    uint64_t count;
};
size_t cpu_get_unknown(const struct cpu *cpu, struct cpu_unknown *list, size_t max);
