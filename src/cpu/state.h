/*
 * What one CPU is made of, for the modules of this folder only.
 *
 * Registers that decoded operations name are one array, `regs`, and an operation holds byte offsets
 * into it (so AH is rax's offset plus one, and "no register" is the offset of a word that is always
 * zero). Arithmetic flags are kept as the host's LAHF and SETO leave them in AX, since every
 * arithmetic operation is the host's own.
 *
 * The instruction pointer is not updated while a block runs: regs[REG_PAGE] is the linear address
 * of the page that the block lies in, and each operation knows its offset in the page. `rip` counts
 * only between blocks; `op` is the running operation wherever a fault can arise.
 */
#pragma once

#include <setjmp.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "cpu/cpu.h"

#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

struct op;
struct cpu_code;

/* Does one operation; returns the next one, or NULL to leave the block (`rip` is then set). */
typedef const struct op *cpu_handler(struct cpu *cpu, const struct op *op);

/* A decoded instruction. */
struct op {
    cpu_handler *fn;
    uint64_t imm;
    const void *link; /* a branch's target operation in the same page, or a host thunk */
    int64_t disp;
    uint8_t base, index; /* byte offsets into regs */
    uint8_t scale, seg;
    uint8_t reg, rm; /* byte offsets into regs, or numbers of XMM and system registers */
    uint16_t off;    /* of its first byte in the page */
    uint8_t len;
    uint8_t count; /* instructions of the block up to and including this one */
    uint8_t flags; /* OP_… */
    uint8_t size;  /* operand size: 0 8 bits … 3 64 bits */
    uint8_t bytes; /* of memory accessed */
    uint8_t opcode;
};

#define OP_SLOW_EA 1u /* 32/16-bit address or checked segment */
#define OP_WRITES 2u  /* the memory operand is written */
#define OP_A32 4u     /* address size 32 */
#define OP_A16 8u     /* address size 16 */
#define OP_REP 16u    /* F3 */
#define OP_REPNE 32u  /* F2 */
#define OP_LOCK 64u
#define OP_MODE64 128u /* decoded as 64-bit code */

enum { REG_ZERO = 16, REG_PAGE = 17, REG_WORDS = 18 };

enum { SEG_NONE = 7 }; /* its base is always 0 */

#define TLB_ENTRIES 4096u
#define PAGE_BITS 12
#define PAGE_BYTES 4096ull
#define PAGE_MASK (~4095ull)

/* Tags are linear page addresses; TLB_NEVER matches none. */
#define TLB_NEVER 1ull
struct tlb_entry {
    uint64_t read, write;
    uintptr_t addend; /* host address = linear + addend */
    bool global;
    bool listed; /* in `used` */
};

enum tlb_kind { TLB_KERNEL, TLB_KERNEL_AC, TLB_USER, TLB_KINDS };

/* Two pages that are in use all the time may belong in one entry: the one that left it last is not
 * walked for again. */
#define TLB_VICTIMS 8u
struct tlb {
    struct tlb_entry entry[TLB_ENTRIES];
    struct tlb_entry victim[TLB_VICTIMS];
    unsigned victim_next;
    uint16_t used[TLB_ENTRIES];
    unsigned used_count;
};

#define WRITTEN_WORDS 64u

#define ITLB_ENTRIES 256u
struct itlb_entry {
    uint64_t tag; /* linear page */
    uint64_t gpa; /* its page in guest-physical memory */
    const uint8_t *host;
    bool global, user;
};

#define JUMP_ENTRIES 8192u
struct jump_entry {
    uint64_t linear, key;
    const struct op *ops;
};

/* Arithmetic flags as LAHF; SETO AL leave them. */
#define RAW_OF 0x0001u
#define RAW_CF 0x0100u
#define RAW_PF 0x0400u
#define RAW_AF 0x1000u
#define RAW_ZF 0x4000u
#define RAW_SF 0x8000u

#define FLAG_CF 0x0001u
#define FLAG_PF 0x0004u
#define FLAG_AF 0x0010u
#define FLAG_ZF 0x0040u
#define FLAG_SF 0x0080u
#define FLAG_TF 0x0100u
#define FLAG_IF 0x0200u
#define FLAG_DF 0x0400u
#define FLAG_OF 0x0800u
#define FLAG_IOPL 0x3000u
#define FLAG_NT 0x4000u
#define FLAG_RF 0x10000u
#define FLAG_VM 0x20000u
#define FLAG_AC 0x40000u
#define FLAG_VIF 0x80000u
#define FLAG_VIP 0x100000u
#define FLAG_ID 0x200000u
#define FLAGS_ARITH (FLAG_CF | FLAG_PF | FLAG_AF | FLAG_ZF | FLAG_SF | FLAG_OF)

#define CR0_PE 0x1u
#define CR0_MP 0x2u
#define CR0_EM 0x4u
#define CR0_TS 0x8u
#define CR0_ET 0x10u
#define CR0_NE 0x20u
#define CR0_WP 0x10000u
#define CR0_AM 0x40000u
#define CR0_NW 0x20000000u
#define CR0_CD 0x40000000u
#define CR0_PG 0x80000000u

#define CR4_TSD 0x4u
#define CR4_DE 0x8u
#define CR4_PSE 0x10u
#define CR4_PAE 0x20u
#define CR4_MCE 0x40u
#define CR4_PGE 0x80u
#define CR4_PCE 0x100u
#define CR4_OSFXSR 0x200u
#define CR4_OSXMMEXCPT 0x400u
#define CR4_UMIP 0x800u
#define CR4_FSGSBASE 0x10000u
#define CR4_SMEP 0x100000u
#define CR4_SMAP 0x200000u

#define EFER_SCE 0x1u
#define EFER_LME 0x100u
#define EFER_LMA 0x400u
#define EFER_NXE 0x800u

enum cpu_vector {
    VEC_DE = 0,
    VEC_DB = 1,
    VEC_NMI = 2,
    VEC_BP = 3,
    VEC_OF = 4,
    VEC_BR = 5,
    VEC_UD = 6,
    VEC_NM = 7,
    VEC_DF = 8,
    VEC_TS = 10,
    VEC_NP = 11,
    VEC_SS = 12,
    VEC_GP = 13,
    VEC_PF = 14,
    VEC_MF = 16,
    VEC_AC = 17,
    VEC_XM = 19,
};

/* Requests from other threads, bits of `attention`. */
#define ATTEND_KICK 1u
#define ATTEND_INTERRUPT 2u /* the line is up */
#define ATTEND_NMI 4u
#define ATTEND_PAGES 8u /* `posted` has work */

#define POSTED_MAX 64
#define CPU_UNKNOWN_MAX 64

/* A frame whose code or writability changed elsewhere. */
struct posted_page {
    uint64_t gpa;
    bool protect; /* code was found there: writes must be noticed from now on */
};

struct fsave {
    uint32_t cw, sw, tw, ip, cs_op, dp, ds;
    uint8_t st[8][10];
} __attribute__((packed));

struct xmm {
    uint64_t q[2];
} __attribute__((aligned(16)));

enum cpu_mode { MODE_16, MODE_32, MODE_64 };

/* What a handler that leaves by longjmp brings to the loop. */
enum { LEAVE_FAULT = 1, LEAVE_RESTART = 2 };

struct cpu {
    uint64_t regs[REG_WORDS];
    uint16_t raw; /* arithmetic flags */
    uint8_t cpl;
    uint8_t mode;          /* enum cpu_mode: size of the running code */
    int64_t left;          /* instructions left in this slice */
    struct tlb_entry *tlb; /* of the kind in force */
    uint64_t seg_base[8];  /* as 64-bit code sees them */
    uint64_t jump_key;     /* of the mode in force: what a cached jump has to be of, see tlb.h */
    uint64_t write_pending;
    const struct op *op;

    uint64_t rip;    /* an offset in CS; valid between blocks */
    uint32_t eflags; /* without the arithmetic flags */
    uint64_t cr0, cr2, cr3, cr4, efer;
    struct cpu_segment segment[CPU_SEGMENTS], tr, ldt;
    struct cpu_table gdt, idt;
    uint64_t db[4], dr6, dr7;

    /* MSRs */
    uint64_t star, lstar, cstar, sfmask, kernel_gs_base;
    uint64_t sysenter_cs, sysenter_esp, sysenter_eip;
    uint64_t pat, tsc_offset, tsc_aux, tsc_adjust, misc_enable, mtrr_def;
    uint64_t mtrr_fixed[11], mtrr_var[16], mcg_status;

    struct xmm xmm[16] __attribute__((aligned(64)));
    struct fsave x87;
    uint64_t x87_ip, x87_dp;
    uint16_t x87_opcode;
    bool x87_live;   /* the x87 state is in the host's registers */
    bool mxcsr_live; /* the host's MXCSR is the guest's, exceptions masked */
    uint32_t mxcsr;
    uint32_t host_mxcsr;

    /* exceptions on their way */
    jmp_buf leave;
    uint8_t fault_vector;
    bool fault_has_error;
    uint32_t fault_error;

    bool halted, shadow, nmi_masked, shutdown;
    bool stepping;   /* the running block is one instruction and not kept */
    bool restart;    /* the next instruction is to be done alone */
    bool watching;   /* a data or instruction breakpoint is enabled */
    bool slow;       /* the loop has to look at interrupts before the next block */
    bool delivering; /* an exception is on its way to its handler */
    bool step_trap;  /* this instruction ends with a single step trap */
    bool hold_debug; /* debug exceptions wait for the instruction after a load of SS */
    uint8_t delivering_vector, first_vector;
    bool first_has_error; /* of first_vector */
    uint32_t first_error;
    int64_t budget;
    uint32_t pending_db; /* DR6 bits of a trap due after this instruction */
    atomic_uint attention;
    uint64_t executed;
    int64_t slice;

    struct cpu_config config;
    struct cpu_code *code;
    uint8_t bounce[64] __attribute__((aligned(64)));
    uint64_t bounce_linear;
    uint64_t jump_keys[2]; /* of kernel and user mode, without the mode's bits */
    bool jump_local;       /* one of kernel mode was cached that a local flush may change */
    struct jump_entry jump[JUMP_ENTRIES];
    struct itlb_entry itlb[ITLB_ENTRIES];
    struct tlb tlbs[TLB_KINDS];
    uint64_t written[WRITTEN_WORDS]; /* see tlb.c */
    struct cpu_stats stats;
    struct cpu_unknown unknown[CPU_UNKNOWN_MAX];
    struct op *chain_from; /* a branch whose target in the same page is looked for */

    /* posted by other threads, under the space's lock */
    struct posted_page posted[POSTED_MAX];
    unsigned posted_count; /* POSTED_MAX + 1: too many, forget all */
    struct cpu *next_in_space;
};

#define REG8(cpu, off) (*(uint8_t *)((char *)(cpu)->regs + (off)))
#define REG16(cpu, off) (*(uint16_t *)((char *)(cpu)->regs + (off)))
#define REG32(cpu, off) (*(uint32_t *)((char *)(cpu)->regs + (off)))
#define REG64(cpu, off) (*(uint64_t *)((char *)(cpu)->regs + (off)))

static inline bool cpu_long_mode(const struct cpu *cpu)
{
    return cpu->efer & EFER_LMA;
}

static inline bool cpu_protected(const struct cpu *cpu)
{
    return cpu->cr0 & CR0_PE;
}

/* The linear address of the running operation, and of the one after it. */
static inline uint64_t op_linear(const struct cpu *cpu, const struct op *op)
{
    return cpu->regs[REG_PAGE] + op->off;
}

static inline uint64_t op_next_linear(const struct cpu *cpu, const struct op *op)
{
    return cpu->regs[REG_PAGE] + op->off + op->len;
}

/* The same as offsets in CS, what the guest calls RIP. */
static inline uint64_t rip_of_linear(const struct cpu *cpu, uint64_t linear)
{
    if (cpu->mode == MODE_64)
        return linear;
    return (uint32_t)(linear - cpu->segment[CPU_CS].base);
}

static inline uint64_t op_next_rip(const struct cpu *cpu, const struct op *op)
{
    return rip_of_linear(cpu, op_next_linear(cpu, op));
}
