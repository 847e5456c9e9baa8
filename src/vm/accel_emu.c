#include "vm/accel_emu.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "vm/clock.h"
#include "vm/dev/ioapic.h"
#include "vm/dev/lapic.h"
#include "vm/dev/pvclock.h"

/* A timer that falls due while the guest computes is noticed after so many instructions, some
 * tenths of a millisecond; a sleeping vCPU wakes at the exact time. */
#define SLICE 20000

#define MSR_TSC 0x10

#define SIGNAL_INIT 1U
#define SIGNAL_STARTUP 2U

struct emu_vcpu {
    struct emu *emu;
    struct cpu *cpu;
    struct lapic lapic;
    unsigned id;
    enum accel_phase phase;
    uint64_t clock_msr; /* PVCLOCK_MSR_SYSTEM */
    uint64_t wall_msr;
    uint64_t exits;

    atomic_uint signals; /* SIGNAL_… that other vCPUs sent */
    atomic_uint startup_vector;
    atomic_bool stop;

    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool woken;
};

struct emu {
    struct accel_config config;
    struct cpu_space *space;
    uint64_t tsc_khz;
    uint64_t start_ns; /* on the monotonic clock: when the guest's clock was 0 */
    struct emu_vcpu *vcpus[ACCEL_CPUS_MAX];
};

/* ---- interrupts ---- */

static void wake(struct emu_vcpu *vcpu)
{
    pthread_mutex_lock(&vcpu->lock);
    vcpu->woken = true;
    pthread_cond_signal(&vcpu->wake);
    pthread_mutex_unlock(&vcpu->lock);
}

/* The owning thread sets the line after each change of the APIC. Lowered first and looked at again,
 * because another thread may bring an interrupt in between. */
static void update_line(struct emu_vcpu *vcpu)
{
    if (lapic_pending(&vcpu->lapic) < 0) {
        cpu_set_interrupt(vcpu->cpu, false);
        atomic_thread_fence(memory_order_seq_cst);
    }
    if (lapic_pending(&vcpu->lapic) >= 0)
        cpu_set_interrupt(vcpu->cpu, true);
}

static void signal_vcpu(struct emu_vcpu *vcpu, unsigned signal)
{
    atomic_fetch_or(&vcpu->signals, signal);
    cpu_kick(vcpu->cpu);
    wake(vcpu);
}

static void accept_message(struct emu_vcpu *vcpu, const struct irq_message *message)
{
    switch (message->mode) {
    case IRQ_FIXED:
    case IRQ_LOWEST:
        lapic_accept(&vcpu->lapic, message->vector, message->level);
        atomic_thread_fence(memory_order_seq_cst);
        cpu_set_interrupt(vcpu->cpu, true);
        wake(vcpu);
        break;
    case IRQ_NMI:
        cpu_nmi(vcpu->cpu);
        wake(vcpu);
        break;
    case IRQ_INIT:
        if (!message->level || message->up) /* the older "de-assert" does nothing */
            signal_vcpu(vcpu, SIGNAL_INIT);
        break;
    case IRQ_STARTUP:
        atomic_store(&vcpu->startup_vector, message->vector);
        signal_vcpu(vcpu, SIGNAL_STARTUP);
        break;
    default:
        break; /* SMI and EXTINT have nobody to serve them */
    }
}

static void route(struct emu *emu, const struct irq_message *message)
{
    for (unsigned i = 0; i < emu->config.cpus; i++) {
        struct emu_vcpu *vcpu = emu->vcpus[i];
        if (!vcpu || !lapic_is_destination(&vcpu->lapic, message->destination, message->logical))
            continue;
        accept_message(vcpu, message);
        if (message->mode == IRQ_LOWEST)
            return; /* one of the set is enough */
    }
}

static void emu_deliver(void *accel, uint64_t address, uint32_t data)
{
    struct irq_message message = irq_decode(address, data);

    route(accel, &message);
}

static void send_ipi(void *data, const struct irq_message *message, enum lapic_shorthand shorthand)
{
    struct emu_vcpu *self = data;
    struct emu *emu = self->emu;

    if (shorthand == LAPIC_TO_FIELD) {
        route(emu, message);
        return;
    }
    for (unsigned i = 0; i < emu->config.cpus; i++) {
        bool is_self = emu->vcpus[i] == self;
        if (emu->vcpus[i] && (shorthand == LAPIC_TO_ALL || is_self == (shorthand == LAPIC_TO_SELF)))
            accept_message(emu->vcpus[i], message);
    }
}

static void end_of_interrupt(void *data, uint8_t vector)
{
    struct emu_vcpu *vcpu = data;

    ioapic_end_of_interrupt(vcpu->emu->config.ioapic, vector);
}

/* ---- clocks ---- */

static uint64_t now_ns(void *data)
{
    (void)data;
    return clock_now_ns();
}

static uint64_t guest_tsc(void *data)
{
    struct emu_vcpu *vcpu = data;
    uint64_t tsc = 0;

    cpu_get_msr(vcpu->cpu, MSR_TSC, &tsc);
    return tsc;
}

static void write_clock(struct emu_vcpu *vcpu)
{
    struct pvclock_now now = {
            .tsc = guest_tsc(vcpu),
            .guest_ns = clock_now_ns() - vcpu->emu->start_ns,
            .tsc_khz = vcpu->emu->tsc_khz,
    };

    pvclock_write_system(vcpu->emu->config.memory, vcpu->clock_msr, &now);
}

/* ---- what the CPU asks for ---- */

static bool is_lapic(const struct emu_vcpu *vcpu, uint64_t address)
{
    return address - LAPIC_BASE < LAPIC_SIZE && vcpu->lapic.base & LAPIC_BASE_ENABLED &&
           !(vcpu->lapic.base & LAPIC_BASE_X2APIC);
}

static uint64_t on_mmio_read(void *owner, uint64_t address, unsigned size)
{
    struct emu_vcpu *vcpu = owner;

    vcpu->exits++;
    if (is_lapic(vcpu, address))
        return lapic_read(&vcpu->lapic, (uint32_t)(address - LAPIC_BASE));
    return bus_read(vcpu->emu->config.mmio, address, size);
}

static void on_mmio_write(void *owner, uint64_t address, uint64_t value, unsigned size)
{
    struct emu_vcpu *vcpu = owner;

    vcpu->exits++;
    if (!is_lapic(vcpu, address)) {
        bus_write(vcpu->emu->config.mmio, address, size, value);
        return;
    }
    lapic_write(&vcpu->lapic, (uint32_t)(address - LAPIC_BASE), (uint32_t)value);
    update_line(vcpu);
}

static uint32_t on_port_in(void *owner, uint16_t port, unsigned size)
{
    struct emu_vcpu *vcpu = owner;

    vcpu->exits++;
    return (uint32_t)bus_read(vcpu->emu->config.pio, port, size);
}

static void on_port_out(void *owner, uint16_t port, uint32_t value, unsigned size)
{
    struct emu_vcpu *vcpu = owner;

    vcpu->exits++;
    bus_write(vcpu->emu->config.pio, port, size, value);
}

static int on_take_interrupt(void *owner)
{
    struct emu_vcpu *vcpu = owner;
    int vector = lapic_take(&vcpu->lapic);

    update_line(vcpu);
    return vector;
}

static uint8_t on_cr8_read(void *owner)
{
    struct emu_vcpu *vcpu = owner;

    return (uint8_t)lapic_get_cr8(&vcpu->lapic);
}

static void on_cr8_write(void *owner, uint8_t value)
{
    struct emu_vcpu *vcpu = owner;

    lapic_set_cr8(&vcpu->lapic, value);
    update_line(vcpu);
}

static bool is_lapic_msr(uint32_t msr)
{
    return msr == LAPIC_MSR_BASE || msr == LAPIC_MSR_DEADLINE ||
           (msr >= LAPIC_MSR_X2APIC && msr < LAPIC_MSR_X2APIC + 0x100);
}

/* MSRs that kernels touch without asking CPUID first; they read as zero and forget writes. */
static bool is_quiet_msr(uint32_t msr)
{
    static const uint32_t quiet[] = {
            0x17,       /* platform id */
            0x8b,       /* microcode revision */
            0x1a0,      /* misc enable */
            0x140,      /* misc feature enables */
            0xc0010010, /* SYSCFG */
            0xc0010015, /* HWCR */
            0xc0010055, /* interrupt pending message */
            0xc0010140, /* OSVW length */
            0xc0010141, /* OSVW status */
            0xc001001f, /* northbridge configuration */
            0xc0011020, /* load-store configuration */
            0xc0011022, /* data cache configuration */
            0xc0011029, /* decode configuration */
    };

    for (size_t i = 0; i < sizeof(quiet) / sizeof(quiet[0]); i++)
        if (quiet[i] == msr)
            return true;
    return false;
}

static bool on_msr_read(void *owner, uint32_t msr, uint64_t *value)
{
    struct emu_vcpu *vcpu = owner;

    *value = 0;
    if (is_lapic_msr(msr))
        return lapic_read_msr(&vcpu->lapic, msr, value);
    if (msr == PVCLOCK_MSR_SYSTEM || msr == PVCLOCK_MSR_SYSTEM_OLD)
        *value = vcpu->clock_msr;
    else if (msr == PVCLOCK_MSR_WALL || msr == PVCLOCK_MSR_WALL_OLD)
        *value = vcpu->wall_msr;
    else
        return is_quiet_msr(msr);
    return true;
}

static bool on_msr_write(void *owner, uint32_t msr, uint64_t value)
{
    struct emu_vcpu *vcpu = owner;
    struct emu *emu = vcpu->emu;

    if (is_lapic_msr(msr)) {
        bool ok = lapic_write_msr(&vcpu->lapic, msr, value);
        update_line(vcpu);
        return ok;
    }
    if (msr == PVCLOCK_MSR_SYSTEM || msr == PVCLOCK_MSR_SYSTEM_OLD) {
        vcpu->clock_msr = value;
        write_clock(vcpu);
    } else if (msr == PVCLOCK_MSR_WALL || msr == PVCLOCK_MSR_WALL_OLD) {
        vcpu->wall_msr = value;
        pvclock_write_wall(emu->config.memory, value, clock_now_ns() - emu->start_ns);
    } else {
        return is_quiet_msr(msr);
    }
    return true;
}

static void on_cpuid(void *owner, uint32_t leaf, uint32_t subleaf, uint32_t regs[4])
{
    struct emu_vcpu *vcpu = owner;

    if (leaf == 1) {
        regs[2] |= 1U << 21 | 1U << 24 | 1U << 31; /* x2APIC, TSC deadline timer, hypervisor */
        if (vcpu->lapic.base & LAPIC_BASE_ENABLED)
            regs[3] |= 1U << 9; /* APIC */
        else
            regs[3] &= ~(1U << 9);
    } else if (leaf == 0x40000000) {
        regs[0] = 0x40000001;
        memcpy(&regs[1], "KVMKVMKVM\0\0\0", 12); /* whose clock is offered */
    } else if (leaf == 0x40000001) {
        regs[0] = PVCLOCK_CPUID_FEATURES;
    }
    if (vcpu->emu->config.features)
        features_mask(vcpu->emu->config.features, leaf, subleaf, regs);
}

static const struct cpu_ops cpu_callbacks = {
        .mmio_read = on_mmio_read,
        .mmio_write = on_mmio_write,
        .port_in = on_port_in,
        .port_out = on_port_out,
        .take_interrupt = on_take_interrupt,
        .cr8_read = on_cr8_read,
        .cr8_write = on_cr8_write,
        .msr_read = on_msr_read,
        .msr_write = on_msr_write,
        .cpuid = on_cpuid,
};

/* ---- the accelerator ---- */

static void emu_note_features(void *owner, uint32_t leaf, uint32_t subleaf, uint32_t regs[4])
{
    features_take(owner, leaf, subleaf, regs);
}

/* Asked of a CPU that never runs. */
static int emu_features(struct features *ret, struct error *err)
{
    static const struct cpu_ops note = {.cpuid = emu_note_features};
    static const uint32_t leaves[][2] = {
            {1, 0}, {7, 0}, {7, 1}, {0xd, 1}, {0x80000001, 0}, {0x80000008, 0}};
    struct features features = {.word[FEATURES_KVM_EAX] = PVCLOCK_CPUID_FEATURES};
    struct cpu_config config = {.ops = &note, .owner = &features};
    struct cpu *cpu = NULL;
    int r = cpu_space_new(&config.space, err);

    if (r == 0)
        r = cpu_new(&config, &cpu, err);
    for (size_t i = 0; r == 0 && i < sizeof(leaves) / sizeof(leaves[0]); i++) {
        uint32_t regs[4];
        cpu_cpuid(cpu, leaves[i][0], leaves[i][1], regs);
    }
    if (cpu)
        cpu_free(cpu);
    if (config.space)
        cpu_space_free(config.space);
    if (r == 0)
        *ret = features;
    return r;
}

static void on_memory_write(void *data, uint64_t address, uint64_t length)
{
    struct emu *emu = data;

    cpu_space_written(emu->space, address, length);
}

static void emu_close(void *accel)
{
    struct emu *emu = accel;

    emu->config.memory->on_write = NULL;
    cpu_space_free(emu->space);
    free(emu);
}

static int emu_open(const struct accel_config *config, void **ret, struct error *err)
{
    struct emu *emu = calloc(1, sizeof(*emu));

    if (!emu)
        return error_set(err, ENOMEM, "out of memory");
    emu->config = *config;
    emu->tsc_khz = config->tsc_khz ? config->tsc_khz : clock_measure_tsc_khz();
    emu->start_ns = clock_now_ns();
    int r = cpu_space_new(&emu->space, err);
    for (size_t i = 0; r == 0 && i < config->memory->count; i++) {
        const struct memory_region *region = &config->memory->regions[i];
        r = cpu_space_map(
                emu->space, (unsigned)i, region->base, region->size, region->host, 0, err);
    }
    if (r < 0) {
        cpu_space_free(emu->space);
        free(emu);
        return r;
    }
    config->memory->on_write = on_memory_write;
    config->memory->on_write_data = emu;
    *ret = emu;
    return 0;
}

static int emu_vcpu_new(void *accel, unsigned id, void **ret, struct error *err)
{
    struct emu *emu = accel;
    struct emu_vcpu *vcpu = calloc(1, sizeof(*vcpu));
    pthread_condattr_t monotonic;

    if (!vcpu)
        return error_set(err, ENOMEM, "out of memory");
    struct cpu_config config = {
            .ops = &cpu_callbacks,
            .owner = vcpu,
            .space = emu->space,
            .id = id,
            .count = emu->config.cpus,
            .tsc_hz = emu->config.tsc_khz * 1000,
            .stop_early = true,
    };
    struct lapic_hooks hooks = {
            .data = vcpu,
            .send = send_ipi,
            .end_of_interrupt = end_of_interrupt,
            .now = now_ns,
            .tsc = guest_tsc,
            .tsc_khz = emu->tsc_khz,
    };
    vcpu->emu = emu;
    vcpu->id = id;
    vcpu->phase = id == 0 ? ACCEL_RUNNABLE : ACCEL_UNINITIALIZED;
    int r = cpu_new(&config, &vcpu->cpu, err);
    if (r < 0) {
        free(vcpu);
        return r;
    }
    lapic_init(&vcpu->lapic, id, &hooks);
    pthread_mutex_init(&vcpu->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&vcpu->wake, &monotonic);
    pthread_condattr_destroy(&monotonic);
    emu->vcpus[id] = vcpu;
    *ret = vcpu;
    return 0;
}

static void emu_vcpu_free(void *data)
{
    struct emu_vcpu *vcpu = data;

    vcpu->emu->vcpus[vcpu->id] = NULL;
    cpu_free(vcpu->cpu);
    pthread_cond_destroy(&vcpu->wake);
    pthread_mutex_destroy(&vcpu->lock);
    free(vcpu);
}

static void emu_kick(void *data)
{
    struct emu_vcpu *vcpu = data;

    atomic_store(&vcpu->stop, true);
    cpu_kick(vcpu->cpu);
    wake(vcpu);
}

/* Until somebody wakes the vCPU or its timer is due. */
static void sleep_vcpu(struct emu_vcpu *vcpu)
{
    uint64_t until = vcpu->lapic.timer_ns;
    struct timespec when = {(time_t)(until / 1000000000), (long)(until % 1000000000)};
    int r = 0;

    pthread_mutex_lock(&vcpu->lock);
    while (!vcpu->woken && r == 0)
        r = until ? pthread_cond_timedwait(&vcpu->wake, &vcpu->lock, &when)
                  : pthread_cond_wait(&vcpu->wake, &vcpu->lock);
    vcpu->woken = false;
    pthread_mutex_unlock(&vcpu->lock);
}

static void start_at_vector(struct emu_vcpu *vcpu, unsigned vector)
{
    struct cpu_state state;

    cpu_get_state(vcpu->cpu, &state);
    state.segment[CPU_CS].selector = (uint16_t)(vector << 8);
    state.segment[CPU_CS].base = (uint64_t)vector << 12;
    state.rip = 0;
    cpu_set_state(vcpu->cpu, &state);
    vcpu->phase = ACCEL_RUNNABLE;
}

/* False: the machine resets, because its boot processor was told to start again. */
static bool take_signals(struct emu_vcpu *vcpu)
{
    unsigned signals = atomic_exchange(&vcpu->signals, 0);

    if (signals & SIGNAL_INIT) {
        if (vcpu->id == 0)
            return false;
        uint64_t base = vcpu->lapic.base;
        struct lapic_hooks hooks = vcpu->lapic.hooks;
        cpu_reset(vcpu->cpu);
        lapic_init(&vcpu->lapic, vcpu->id, &hooks);
        vcpu->lapic.base = base & ~LAPIC_BASE_X2APIC;
        vcpu->phase = ACCEL_INIT_RECEIVED;
    }
    if (signals & SIGNAL_STARTUP && vcpu->phase == ACCEL_INIT_RECEIVED)
        start_at_vector(vcpu, atomic_load(&vcpu->startup_vector));
    return true;
}

/* One stretch of guest code, or of sleep. */
static enum accel_stop run_slice(struct emu_vcpu *vcpu)
{
    struct cpu_exit exit;

    if (!take_signals(vcpu))
        return ACCEL_SHUTDOWN;
    if (vcpu->phase == ACCEL_UNINITIALIZED || vcpu->phase == ACCEL_INIT_RECEIVED) {
        sleep_vcpu(vcpu);
        return ACCEL_KICKED;
    }
    lapic_run_timer(&vcpu->lapic);
    update_line(vcpu);
    cpu_run(vcpu->cpu, SLICE, &exit);
    vcpu->exits += exit.reason != CPU_EXIT_BUDGET;
    if (exit.reason == CPU_EXIT_SHUTDOWN)
        return ACCEL_SHUTDOWN;
    if (exit.reason == CPU_EXIT_HLT && !cpu_has_work(vcpu->cpu))
        sleep_vcpu(vcpu);
    return ACCEL_KICKED;
}

static enum accel_stop emu_run(void *data, struct error *err)
{
    struct emu_vcpu *vcpu = data;

    (void)err;
    while (!atomic_exchange(&vcpu->stop, false))
        if (run_slice(vcpu) == ACCEL_SHUTDOWN)
            return ACCEL_SHUTDOWN;
    /* what other vCPUs have sent belongs to this one's state, which may be asked for now */
    return take_signals(vcpu) ? ACCEL_KICKED : ACCEL_SHUTDOWN;
}

static int emu_get_state(void *data, struct accel_vcpu_state *ret, struct error *err)
{
    struct emu_vcpu *vcpu = data;
    const uint32_t *list;
    size_t count = cpu_msr_list(&list);

    if (count > ACCEL_MSRS_MAX - 1)
        return error_set(err, ENOSPC, "%zu MSRs are more than a vCPU's state holds", count);
    cpu_get_state(vcpu->cpu, &ret->cpu);
    for (size_t i = 0; i < count; i++) {
        ret->msrs[i].index = list[i];
        cpu_get_msr(vcpu->cpu, list[i], &ret->msrs[i].value);
    }
    ret->msrs[count] = (struct cpu_msr){PVCLOCK_MSR_SYSTEM, vcpu->clock_msr};
    ret->msr_count = (uint32_t)count + 1;
    ret->phase = ret->cpu.halted && vcpu->phase == ACCEL_RUNNABLE ? ACCEL_HALTED : vcpu->phase;
    ret->apic_base = vcpu->lapic.base;
    ret->tsc_deadline = vcpu->lapic.tsc_deadline;
    memcpy(ret->lapic, vcpu->lapic.page, sizeof(ret->lapic));
    return 0;
}

static int emu_set_state(void *data, const struct accel_vcpu_state *state, struct error *err)
{
    struct emu_vcpu *vcpu = data;
    struct cpu_state cpu = state->cpu;

    if (state->msr_count > ACCEL_MSRS_MAX)
        return error_set(err, EINVAL, "a vCPU's state with %u MSRs", state->msr_count);
    cpu.halted = state->phase == ACCEL_HALTED;
    cpu_set_state(vcpu->cpu, &cpu);
    for (size_t i = 0; i < state->msr_count; i++) {
        if (state->msrs[i].index == PVCLOCK_MSR_SYSTEM)
            vcpu->clock_msr = state->msrs[i].value;
        else if (state->msrs[i].index != MSR_TSC) /* it is one clock for all: see set_clock() */
            (void)cpu_set_msr(vcpu->cpu, state->msrs[i].index, state->msrs[i].value);
    }
    vcpu->phase = state->phase == ACCEL_HALTED ? ACCEL_RUNNABLE : state->phase;
    vcpu->lapic.base = state->apic_base;
    vcpu->lapic.tsc_deadline = state->tsc_deadline;
    memcpy(vcpu->lapic.page, state->lapic, sizeof(state->lapic));
    lapic_resume(&vcpu->lapic);
    write_clock(vcpu);
    update_line(vcpu);
    return 0;
}

static void emu_get_stats(void *data, struct accel_stats *ret)
{
    struct emu_vcpu *vcpu = data;
    struct cpu_stats stats;

    cpu_get_stats(vcpu->cpu, &stats);
    *ret = (struct accel_stats){.exits = vcpu->exits, .instructions = stats.instructions};
}

static size_t emu_get_unknown(void *data, struct cpu_unknown *list, size_t max)
{
    struct emu_vcpu *vcpu = data;

    return cpu_get_unknown(vcpu->cpu, list, max);
}

static uint64_t emu_tsc_khz(void *accel)
{
    struct emu *emu = accel;

    return emu->tsc_khz;
}

static int emu_get_clock(void *accel, struct accel_clock *ret, struct error *err)
{
    struct emu *emu = accel;

    (void)err;
    *ret = (struct accel_clock){clock_now_ns() - emu->start_ns, guest_tsc(emu->vcpus[0])};
    return 0;
}

static int emu_set_clock(void *accel, const struct accel_clock *clock, struct error *err)
{
    struct emu *emu = accel;

    (void)err;
    (void)cpu_set_msr(emu->vcpus[0]->cpu, MSR_TSC, clock->tsc);
    emu->start_ns = clock_now_ns() - clock->guest_ns;
    uint64_t offset = cpu_get_tsc_offset(emu->vcpus[0]->cpu);
    for (unsigned i = 0; i < emu->config.cpus; i++) {
        struct emu_vcpu *vcpu = emu->vcpus[i];
        cpu_set_tsc_offset(vcpu->cpu, offset);
        lapic_resume(&vcpu->lapic);
        write_clock(vcpu);
        update_line(vcpu);
    }
    return 0;
}

const struct accel_ops accel_emu_ops = {
        .name = "emu",
        .features = emu_features,
        .open = emu_open,
        .close = emu_close,
        .vcpu_new = emu_vcpu_new,
        .vcpu_free = emu_vcpu_free,
        .run = emu_run,
        .kick = emu_kick,
        .get_state = emu_get_state,
        .set_state = emu_set_state,
        .get_stats = emu_get_stats,
        .get_unknown = emu_get_unknown,
        .deliver = emu_deliver,
        .tsc_khz = emu_tsc_khz,
        .get_clock = emu_get_clock,
        .set_clock = emu_set_clock,
};
