#include "cpu/cpu.h"

#include <stdlib.h>
#include <string.h>

#include "cpu/blocks.h"
#include "cpu/control.h"
#include "cpu/flags.h"
#include "cpu/fp.h"
#include "cpu/mmu.h"
#include "cpu/segment.h"
#include "cpu/watch.h"

#define PAT_RESET 0x0007040600070406ull
#define DR6_RESET 0xffff0ff0u
#define DR7_RESET 0x400u
#define MXCSR_RESET 0x1f80u
#define SIGNATURE 0x00060fb1u

/* ------------------------------------------------------------------ making one */

static void clear_tables(struct cpu *cpu)
{
    for (unsigned kind = 0; kind < TLB_KINDS; kind++) {
        struct tlb *tlb = &cpu->tlbs[kind];
        for (unsigned i = 0; i < TLB_ENTRIES + TLB_VICTIMS; i++)
            *(i < TLB_ENTRIES ? &tlb->entry[i] : &tlb->victim[i - TLB_ENTRIES]) =
                    (struct tlb_entry){.read = TLB_NEVER, .write = TLB_NEVER};
    }
    for (unsigned i = 0; i < ITLB_ENTRIES; i++)
        cpu->itlb[i].tag = TLB_NEVER;
    cpu->jump_key = cpu->jump_keys[0] = cpu->jump_keys[1] = 64;
}

int cpu_new(const struct cpu_config *config, struct cpu **ret, struct error *err)
{
    void *memory = NULL;
    if (!config->ops || !config->space)
        return error_set(err, EINVAL, "make a CPU: it needs its callbacks and a memory space");
    if (posix_memalign(&memory, 64, sizeof(struct cpu)))
        return error_set(err, ENOMEM, "make a CPU: out of memory");
    struct cpu *cpu = memset(memory, 0, sizeof(struct cpu));
    if (blocks_new(&cpu->code) < 0) {
        free(cpu);
        return error_set(err, ENOMEM, "make a CPU: out of memory");
    }
    cpu->config = *config;
    clear_tables(cpu);
    cpu->pat = PAT_RESET;
    cpu->misc_enable = 1;
    cpu->mtrr_def = 0xc06; /* enabled, write-back */
    cpu_reset(cpu);
    space_add_cpu(config->space, cpu);
    *ret = cpu;
    return 0;
}

void cpu_free(struct cpu *cpu)
{
    if (!cpu)
        return;
    space_remove_cpu(cpu->config.space, cpu);
    blocks_free(cpu->code);
    free(cpu);
}

static struct cpu_segment reset_segment(uint8_t type)
{
    return (struct cpu_segment){
            .limit = 0xffff, .type = type, .present = 1, .s = type > 15 ? 0 : 1};
}

void cpu_reset(struct cpu *cpu)
{
    struct cpu_state state = {.rip = 0xfff0,
            .rflags = 2,
            .cr0 = CR0_ET | CR0_NW | CR0_CD,
            .gdt = {0, 0xffff},
            .idt = {0, 0xffff},
            .fcw = 0x37f,
            .mxcsr = MXCSR_RESET,
            .dr6 = DR6_RESET,
            .dr7 = DR7_RESET};
    for (unsigned seg = 0; seg < CPU_SEGMENTS; seg++)
        state.segment[seg] = reset_segment(TYPE_WRITABLE | TYPE_ACCESSED);
    state.segment[CPU_CS].type = TYPE_CODE | TYPE_READABLE | TYPE_ACCESSED;
    state.segment[CPU_CS].selector = 0xf000;
    state.segment[CPU_CS].base = 0xffff0000;
    state.tr = state.ldt = reset_segment(TYPE_LDT);
    state.tr.s = state.ldt.s = 0;
    state.tr.type = TYPE_TSS32_BUSY;
    state.gpr[CPU_RDX] = SIGNATURE;
    cpu_set_state(cpu, &state);
}

/* ------------------------------------------------------------------ x87 between its two layouts */

static uint8_t abridge_tags(uint16_t full, unsigned top)
{
    uint8_t tags = 0;
    (void)top;
    for (unsigned i = 0; i < 8; i++)
        if (((full >> (i * 2)) & 3) != 3)
            tags |= (uint8_t)(1u << i);
    return tags;
}

/* FRSTOR only wants to know "empty or not"; FNSAVE finds out the rest from the values. */
static uint16_t widen_tags(uint8_t tags)
{
    unsigned full = 0;
    for (unsigned i = 0; i < 8; i++)
        if (!(tags & (1u << i)))
            full |= 3u << (i * 2);
    return (uint16_t)full;
}

static void get_fp(struct cpu *cpu, struct cpu_state *state)
{
    fp_leave(cpu);
    state->fcw = (uint16_t)cpu->x87.cw;
    state->fsw = (uint16_t)cpu->x87.sw;
    state->ftwx = abridge_tags((uint16_t)cpu->x87.tw, 0);
    state->last_opcode = cpu->x87_opcode;
    state->last_ip = cpu->x87_ip;
    state->last_dp = cpu->x87_dp;
    for (unsigned i = 0; i < 8; i++)
        memcpy(state->fpr[i], cpu->x87.st[i], 10);
    memcpy(state->xmm, cpu->xmm, sizeof(state->xmm));
    state->mxcsr = cpu->mxcsr;
}

static void set_fp(struct cpu *cpu, const struct cpu_state *state)
{
    fp_leave(cpu);
    cpu->x87 = (struct fsave){.cw = (state->fcw & 0x1f7fu) | 0x40u | 0xffff0000u,
            .sw = state->fsw | 0xffff0000u,
            .tw = widen_tags(state->ftwx) | 0xffff0000u};
    fp_summarize(cpu);
    cpu->x87_opcode = state->last_opcode & 0x7ff;
    cpu->x87_ip = state->last_ip;
    cpu->x87_dp = state->last_dp;
    for (unsigned i = 0; i < 8; i++)
        memcpy(cpu->x87.st[i], state->fpr[i], 10);
    memcpy(cpu->xmm, state->xmm, sizeof(cpu->xmm));
    cpu->mxcsr = state->mxcsr & MXCSR_KNOWN;
}

/* ------------------------------------------------------------------ whole state */

void cpu_get_state(struct cpu *cpu, struct cpu_state *state)
{
    memset(state, 0, sizeof(*state));
    memcpy(state->gpr, cpu->regs, sizeof(state->gpr));
    state->rip = cpu->rip;
    state->rflags = flags_get(cpu);
    memcpy(state->segment, cpu->segment, sizeof(state->segment));
    state->tr = cpu->tr;
    state->ldt = cpu->ldt;
    state->gdt = cpu->gdt;
    state->idt = cpu->idt;
    state->cr0 = cpu->cr0;
    state->cr2 = cpu->cr2;
    state->cr3 = cpu->cr3;
    state->cr4 = cpu->cr4;
    state->efer = cpu->efer;
    memcpy(state->db, cpu->db, sizeof(state->db));
    state->dr6 = cpu->dr6;
    state->dr7 = cpu->dr7;
    state->halted = cpu->halted;
    state->interrupt_shadow = cpu->shadow;
    state->nmi_pending = atomic_load(&cpu->attention) & ATTEND_NMI;
    state->nmi_masked = cpu->nmi_masked;
    get_fp(cpu, state);
}

static void set_system(struct cpu *cpu, const struct cpu_state *state)
{
    memcpy(cpu->segment, state->segment, sizeof(cpu->segment));
    cpu->tr = state->tr;
    cpu->ldt = state->ldt;
    cpu->gdt = state->gdt;
    cpu->idt = state->idt;
    cpu->cr0 = (state->cr0 & CR0_KNOWN) | CR0_ET;
    cpu->cr2 = state->cr2;
    cpu->cr3 = state->cr3;
    cpu->cr4 = state->cr4 & CR4_KNOWN;
    cpu->efer = state->efer & (EFER_KNOWN | EFER_LMA);
    memcpy(cpu->db, state->db, sizeof(cpu->db));
    cpu->dr6 = (state->dr6 & 0xe00f) | DR6_RESET;
    cpu->dr7 = (state->dr7 & 0xffff2fff) | DR7_RESET;
}

static unsigned privilege(const struct cpu *cpu)
{
    if (!cpu_protected(cpu))
        return 0;
    return cpu->segment[CPU_SS].unusable ? cpu->segment[CPU_CS].selector & 3u
                                         : cpu->segment[CPU_SS].dpl;
}

void cpu_set_state(struct cpu *cpu, const struct cpu_state *state)
{
    memcpy(cpu->regs, state->gpr, sizeof(state->gpr));
    cpu->regs[REG_ZERO] = 0;
    cpu->rip = state->rip;
    flags_set(cpu, (uint32_t)state->rflags & ~FLAG_VM, ~0u);
    set_system(cpu, state);
    cpu->cpl = (uint8_t)privilege(cpu);
    cpu->halted = state->halted;
    cpu->shadow = state->interrupt_shadow;
    cpu->hold_debug = false;
    cpu->nmi_masked = state->nmi_masked;
    cpu->shutdown = cpu->restart = false;
    cpu->pending_db = 0;
    if (state->nmi_pending)
        atomic_fetch_or(&cpu->attention, ATTEND_NMI);
    else
        atomic_fetch_and(&cpu->attention, ~ATTEND_NMI);
    set_fp(cpu, state);
    watch_update(cpu);
    mmu_flush(cpu);
    segment_changed(cpu);
    if (cpu->mode != MODE_64)
        cpu->rip = (uint32_t)cpu->rip;
}

void cpu_get_stats(const struct cpu *cpu, struct cpu_stats *stats)
{
    *stats = cpu->stats;
}
