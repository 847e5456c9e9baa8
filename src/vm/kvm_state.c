#include "vm/kvm_state.h"

#include <stddef.h>
#include <string.h>

#include "base/cleanup.h"
#include "sys/kvm.h"

#define MSR_TSC_DEADLINE 0x6e0
#define MSR_PVCLOCK 0x4b564d01
#define CR4_OSXSAVE (1U << 18)
#define LAPIC_ISR 0x100U
#define LAPIC_IRR 0x200U

/* Besides the CPU's own list (cpu_msr_list), which names what a guest can see under either. */
static const uint32_t extra_msrs[] = {MSR_PVCLOCK};

/* Room for KVM's variable struct. */
struct msr_block {
    struct kvm_msrs head;
    struct kvm_msr_entry entries[ACCEL_MSRS_MAX];
};

static int call(int fd, unsigned long request, void *argument, const char *name, struct error *err)
{
    int r = sys_kvm_ioctl_ptr(fd, request, argument);

    return r < 0 ? error_sys(err, -r, "ioctl %s", name) : 0;
}

#define CALL(fd, request, argument, err) call((fd), (request), (argument), #request, (err))

static struct cpu_segment segment_from(const struct kvm_segment *from)
{
    return (struct cpu_segment){
            .base = from->base,
            .limit = from->limit,
            .selector = from->selector,
            .type = from->type,
            .present = from->present,
            .dpl = from->dpl,
            .db = from->db,
            .s = from->s,
            .l = from->l,
            .g = from->g,
            .avl = from->avl,
            .unusable = from->unusable,
    };
}

static struct kvm_segment segment_to(const struct cpu_segment *from)
{
    return (struct kvm_segment){
            .base = from->base,
            .limit = from->limit,
            .selector = from->selector,
            .type = from->type,
            .present = from->present,
            .dpl = from->dpl,
            .db = from->db,
            .s = from->s,
            .l = from->l,
            .g = from->g,
            .avl = from->avl,
            .unusable = from->unusable,
    };
}

/* Pairs of a member of kvm_regs and ours. */
#define GPRS(X)                                                                                    \
    X(rax, CPU_RAX)                                                                                \
    X(rcx, CPU_RCX)                                                                                \
    X(rdx, CPU_RDX)                                                                                \
    X(rbx, CPU_RBX)                                                                                \
    X(rsp, CPU_RSP)                                                                                \
    X(rbp, CPU_RBP)                                                                                \
    X(rsi, CPU_RSI)                                                                                \
    X(rdi, CPU_RDI)                                                                                \
    X(r8, CPU_R8)                                                                                  \
    X(r9, CPU_R9)                                                                                  \
    X(r10, CPU_R10) X(r11, CPU_R11) X(r12, CPU_R12) X(r13, CPU_R13) X(r14, CPU_R14) X(r15, CPU_R15)

#define SEGMENTS(X)                                                                                \
    X(es, segment[CPU_ES])                                                                         \
    X(cs, segment[CPU_CS])                                                                         \
    X(ss, segment[CPU_SS])                                                                         \
    X(ds, segment[CPU_DS]) X(fs, segment[CPU_FS]) X(gs, segment[CPU_GS]) X(tr, tr) X(ldt, ldt)

#define CONTROLS(X) X(cr0) X(cr2) X(cr3) X(cr4) X(efer)

static int get_general(int fd, struct cpu_state *state, struct error *err)
{
    struct kvm_regs regs;
    int r = CALL(fd, KVM_GET_REGS, &regs, err);

    if (r < 0)
        return r;
#define FROM(theirs, ours) state->gpr[ours] = regs.theirs;
    GPRS(FROM)
#undef FROM
    state->rip = regs.rip;
    state->rflags = regs.rflags;
    return 0;
}

static int set_general(int fd, const struct cpu_state *state, struct error *err)
{
    struct kvm_regs regs = {.rip = state->rip, .rflags = state->rflags};

#define TO(theirs, ours) regs.theirs = state->gpr[ours];
    GPRS(TO)
#undef TO
    return CALL(fd, KVM_SET_REGS, &regs, err);
}

static int get_special(int fd, struct accel_vcpu_state *ret, struct error *err)
{
    struct cpu_state *state = &ret->cpu;
    struct kvm_sregs sregs;
    int r = CALL(fd, KVM_GET_SREGS, &sregs, err);

    if (r < 0)
        return r;
#define FROM(theirs, ours) state->ours = segment_from(&sregs.theirs);
    SEGMENTS(FROM)
#undef FROM
#define FROM(name) state->name = sregs.name;
    CONTROLS(FROM)
#undef FROM
    state->gdt = (struct cpu_table){sregs.gdt.base, sregs.gdt.limit};
    state->idt = (struct cpu_table){sregs.idt.base, sregs.idt.limit};
    ret->apic_base = sregs.apic_base;
    return 0;
}

static int set_special(int fd, const struct accel_vcpu_state *from, struct error *err)
{
    const struct cpu_state *state = &from->cpu;
    struct kvm_sregs sregs;
    int r = CALL(fd, KVM_GET_SREGS, &sregs, err);

    if (r < 0)
        return r;
#define TO(theirs, ours) sregs.theirs = segment_to(&state->ours);
    SEGMENTS(TO)
#undef TO
#define TO(name) sregs.name = state->name;
    CONTROLS(TO)
#undef TO
    sregs.gdt = (struct kvm_dtable){.base = state->gdt.base, .limit = state->gdt.limit};
    sregs.idt = (struct kvm_dtable){.base = state->idt.base, .limit = state->idt.limit};
    if (from->apic_base)
        sregs.apic_base = from->apic_base;
    return CALL(fd, KVM_SET_SREGS, &sregs, err);
}

static int get_float(int fd, struct cpu_state *state, struct error *err)
{
    struct kvm_fpu fpu;
    int r = CALL(fd, KVM_GET_FPU, &fpu, err);

    if (r < 0)
        return r;
    state->fcw = fpu.fcw;
    state->fsw = fpu.fsw;
    state->ftwx = fpu.ftwx;
    state->last_opcode = fpu.last_opcode;
    state->last_ip = fpu.last_ip;
    state->last_dp = fpu.last_dp;
    state->mxcsr = fpu.mxcsr;
    memcpy(state->fpr, fpu.fpr, sizeof(state->fpr));
    memcpy(state->xmm, fpu.xmm, sizeof(state->xmm));
    return 0;
}

static int set_float(int fd, const struct cpu_state *state, struct error *err)
{
    struct kvm_fpu fpu = {
            .fcw = state->fcw,
            .fsw = state->fsw,
            .ftwx = state->ftwx,
            .last_opcode = state->last_opcode,
            .last_ip = state->last_ip,
            .last_dp = state->last_dp,
            .mxcsr = state->mxcsr,
    };

    memcpy(fpu.fpr, state->fpr, sizeof(fpu.fpr));
    memcpy(fpu.xmm, state->xmm, sizeof(fpu.xmm));
    return CALL(fd, KVM_SET_FPU, &fpu, err);
}

/* Guests with XSAVE have more than the registers that both accelerators know. */
static int get_xsave(int fd, struct accel_vcpu_state *ret, struct error *err)
{
    struct kvm_xcrs xcrs;
    struct kvm_xsave xsave;

    ret->xcr0 = 0;
    if (sys_kvm_ioctl_ptr(fd, KVM_GET_XCRS, &xcrs) < 0 || xcrs.nr_xcrs == 0)
        return 0; /* the host has none */
    int r = CALL(fd, KVM_GET_XSAVE, &xsave, err);
    if (r < 0)
        return r;
    if (ret->cpu.cr4 & CR4_OSXSAVE)
        ret->xcr0 = xcrs.xcrs[0].value;
    memcpy(ret->xsave, xsave.region, sizeof(ret->xsave));
    return 0;
}

static int set_xsave(int fd, const struct accel_vcpu_state *state, struct error *err)
{
    struct kvm_xcrs xcrs = {.nr_xcrs = 1, .xcrs[0].value = state->xcr0};
    struct kvm_xsave xsave = {0};

    if (!state->xcr0)
        return 0;
    int r = CALL(fd, KVM_SET_XCRS, &xcrs, err);
    memcpy(xsave.region, state->xsave, sizeof(xsave.region));
    return r < 0 ? r : CALL(fd, KVM_SET_XSAVE, &xsave, err);
}

/* An interrupt that KVM took from the APIC and has not delivered yet goes back to where it waits,
 * so that whoever goes on delivers it. */
static int return_interrupt(int fd, struct accel_vcpu_state *ret, struct error *err)
{
    struct kvm_vcpu_events events;
    int r = CALL(fd, KVM_GET_VCPU_EVENTS, &events, err);

    if (r < 0 || !events.interrupt.injected || events.interrupt.soft)
        return r;
    unsigned word = events.interrupt.nr / 32U * 16U, bit = events.interrupt.nr % 32U;
    ret->lapic[LAPIC_ISR + word + bit / 8] &= (uint8_t) ~(1U << bit % 8);
    ret->lapic[LAPIC_IRR + word + bit / 8] |= (uint8_t)(1U << bit % 8);
    return 0;
}

static int get_debug(int fd, struct cpu_state *state, struct error *err)
{
    struct kvm_debugregs debug;
    struct kvm_vcpu_events events;
    int r = CALL(fd, KVM_GET_DEBUGREGS, &debug, err);

    if (r == 0)
        r = CALL(fd, KVM_GET_VCPU_EVENTS, &events, err);
    if (r < 0)
        return r;
    for (int i = 0; i < 4; i++)
        state->db[i] = debug.db[i];
    state->dr6 = debug.dr6;
    state->dr7 = debug.dr7;
    state->interrupt_shadow = events.interrupt.shadow;
    state->nmi_pending = events.nmi.pending;
    state->nmi_masked = events.nmi.masked;
    return 0;
}

static int set_debug(int fd, const struct cpu_state *state, struct error *err)
{
    struct kvm_debugregs debug = {.dr6 = state->dr6, .dr7 = state->dr7};
    struct kvm_vcpu_events events = {
            .flags = KVM_VCPUEVENT_VALID_NMI_PENDING | KVM_VCPUEVENT_VALID_SHADOW,
            .interrupt.shadow = state->interrupt_shadow,
            .nmi.pending = state->nmi_pending,
            .nmi.masked = state->nmi_masked,
    };

    for (int i = 0; i < 4; i++)
        debug.db[i] = state->db[i];
    int r = CALL(fd, KVM_SET_DEBUGREGS, &debug, err);
    return r < 0 ? r : CALL(fd, KVM_SET_VCPU_EVENTS, &events, err);
}

static void list_msrs(struct msr_block *block)
{
    const uint32_t *list;
    size_t count = cpu_msr_list(&list);
    uint32_t n = 0;

    for (size_t i = 0; i < count && n < ACCEL_MSRS_MAX - ARRAY_SIZE(extra_msrs); i++)
        block->entries[n++].index = list[i];
    for (size_t i = 0; i < ARRAY_SIZE(extra_msrs); i++)
        block->entries[n++].index = extra_msrs[i];
    block->head.nmsrs = n;
}

/* KVM stops at the first MSR that it does not have and says how many it did: that one is left out
 * and the rest asked for again. */
static int get_msrs(int fd, struct accel_vcpu_state *ret, struct error *err)
{
    struct msr_block wanted = {0};

    list_msrs(&wanted);
    ret->msr_count = 0;
    for (uint32_t i = 0; i < wanted.head.nmsrs; i++) {
        struct msr_block one = {.head.nmsrs = 1, .entries[0].index = wanted.entries[i].index};
        int n = sys_kvm_ioctl_ptr(fd, KVM_GET_MSRS, &one);
        if (n < 0)
            return error_sys(err, -n, "ioctl KVM_GET_MSRS 0x%x", one.entries[0].index);
        if (n == 1)
            ret->msrs[ret->msr_count++] =
                    (struct cpu_msr){one.entries[0].index, one.entries[0].data};
    }

    struct msr_block deadline = {.head.nmsrs = 1, .entries[0].index = MSR_TSC_DEADLINE};
    if (sys_kvm_ioctl_ptr(fd, KVM_GET_MSRS, &deadline) == 1)
        ret->tsc_deadline = deadline.entries[0].data;
    return 0;
}

static int set_msr(int fd, uint32_t index, uint64_t value, struct error *err)
{
    struct msr_block one = {.head.nmsrs = 1, .entries[0] = {.index = index, .data = value}};
    int n = sys_kvm_ioctl_ptr(fd, KVM_SET_MSRS, &one);

    if (n < 0)
        return error_sys(err, -n, "ioctl KVM_SET_MSRS 0x%x", index);
    if (n == 0 && value != 0) /* one that this host's KVM does not have matters only if used */
        return error_set(err, EOPNOTSUPP, "the host's KVM does not take MSR 0x%x", index);
    return 0;
}

static int set_msrs(int fd, const struct accel_vcpu_state *state, struct error *err)
{
    if (state->msr_count > ACCEL_MSRS_MAX)
        return error_set(err, EINVAL, "a vCPU's state with %u MSRs", state->msr_count);
    for (uint32_t i = 0; i < state->msr_count; i++) {
        int r = set_msr(fd, state->msrs[i].index, state->msrs[i].value, err);
        if (r < 0)
            return r;
    }
    return state->tsc_deadline ? set_msr(fd, MSR_TSC_DEADLINE, state->tsc_deadline, err) : 0;
}

int kvm_state_get(int fd, struct accel_vcpu_state *ret, struct error *err)
{
    struct kvm_mp_state phase;
    struct kvm_lapic_state lapic;
    int r = get_general(fd, &ret->cpu, err);

    if (r == 0)
        r = get_special(fd, ret, err);
    if (r == 0)
        r = get_float(fd, &ret->cpu, err);
    if (r == 0)
        r = get_debug(fd, &ret->cpu, err);
    if (r == 0)
        r = get_msrs(fd, ret, err);
    if (r == 0)
        r = CALL(fd, KVM_GET_LAPIC, &lapic, err);
    if (r == 0)
        r = CALL(fd, KVM_GET_MP_STATE, &phase, err);
    if (r < 0)
        return r;
    memcpy(ret->lapic, lapic.regs, sizeof(ret->lapic));
    ret->phase = phase.mp_state;
    ret->cpu.halted = phase.mp_state == KVM_MP_STATE_HALTED;
    r = get_xsave(fd, ret, err);
    return r < 0 ? r : return_interrupt(fd, ret, err);
}

/* The APIC's mode (in the special registers) before its page, its timer's mode before the deadline:
 * each is refused or lost otherwise. */
int kvm_state_set(int fd, const struct accel_vcpu_state *state, struct error *err)
{
    struct kvm_mp_state phase = {.mp_state = state->phase};
    struct kvm_lapic_state lapic;
    int r = set_special(fd, state, err);

    if (r == 0 && state->apic_base) {
        memcpy(lapic.regs, state->lapic, sizeof(lapic.regs));
        r = CALL(fd, KVM_SET_LAPIC, &lapic, err);
    }
    if (r == 0)
        r = set_general(fd, &state->cpu, err);
    if (r == 0)
        r = set_float(fd, &state->cpu, err);
    if (r == 0)
        r = set_xsave(fd, state, err);
    if (r == 0)
        r = set_debug(fd, &state->cpu, err);
    if (r == 0)
        r = set_msrs(fd, state, err);
    if (r == 0)
        r = CALL(fd, KVM_SET_MP_STATE, &phase, err);
    return r;
}
