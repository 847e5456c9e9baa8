#include "vm/accel_kvm.h"

#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/cleanup.h"
#include "sys/kvm.h"
#include "vm/dev/ioapic.h"
#include "vm/kvm_state.h"

#define KICK_SIGNAL SIGUSR1 /* only interrupts KVM_RUN; its handler does nothing */
#define TSS_ADDRESS 0xfffbd000UL
#define IDENTITY_MAP_ADDRESS 0xfffbc000UL
#define CPUID_ENTRIES_MAX 256

struct kvm_vcpu {
    struct kvm_machine *kvm;
    int fd;
    unsigned id;
    struct kvm_run *run;
    size_t run_size;
    pthread_t thread;
    atomic_bool in_thread; /* `thread` is in kvm_run() */
    atomic_bool stop;
    uint64_t exits;
};

struct kvm_machine {
    struct accel_config config;
    int system_fd, fd;
    size_t run_size;
    uint64_t tsc_khz;
};

/* ---- interrupts ---- */

static void kvm_deliver(void *accel, uint64_t address, uint32_t data)
{
    struct kvm_machine *kvm = accel;
    struct kvm_msi msi = {
            .address_lo = (uint32_t)address, .address_hi = (uint32_t)(address >> 32), .data = data};

    /* a guest that sends to no APIC gets what hardware gives it: nothing */
    (void)sys_kvm_ioctl_ptr(kvm->fd, KVM_SIGNAL_MSI, &msi);
}

struct routing {
    struct kvm_irq_routing head;
    struct kvm_irq_routing_entry entries[IOAPIC_PINS];
};

/* KVM reports the end of an interrupt (KVM_EXIT_IOAPIC_EOI) for the vectors of level-triggered
 * routes, so it is told of the IOAPIC's entries. */
static void update_routing(void *data)
{
    struct kvm_machine *kvm = data;
    struct routing routing = {0};

    for (unsigned pin = 0; pin < IOAPIC_PINS; pin++) {
        uint64_t address;
        uint32_t message;
        if (!ioapic_message(kvm->config.ioapic, pin, &address, &message))
            continue;
        routing.entries[routing.head.nr++] = (struct kvm_irq_routing_entry){
                .gsi = pin,
                .type = KVM_IRQ_ROUTING_MSI,
                .u.msi = {.address_lo = (uint32_t)address, .data = message},
        };
    }
    (void)sys_kvm_ioctl_ptr(kvm->fd, KVM_SET_GSI_ROUTING, &routing);
}

/* ---- opening ---- */

static int need(int r, const char *what, struct error *err)
{
    return r < 0 ? error_sys(err, -r, "KVM: %s", what) : r;
}

static int add_memory(struct kvm_machine *kvm, struct error *err)
{
    for (uint32_t i = 0; i < kvm->config.memory->count; i++) {
        const struct memory_region *region = &kvm->config.memory->regions[i];
        struct kvm_userspace_memory_region slot = {
                .slot = i,
                .guest_phys_addr = region->base,
                .memory_size = region->size,
                .userspace_addr = (uintptr_t)region->host,
        };
        int r = need(sys_kvm_ioctl_ptr(kvm->fd, KVM_SET_USER_MEMORY_REGION, &slot),
                "KVM_SET_USER_MEMORY_REGION", err);
        if (r < 0)
            return r;
    }
    return 0;
}

static int set_up_chips(struct kvm_machine *kvm, struct error *err)
{
    uint64_t identity_map = IDENTITY_MAP_ADDRESS;
    struct kvm_enable_cap split = {.cap = KVM_CAP_SPLIT_IRQCHIP, .args[0] = IOAPIC_PINS};
    struct kvm_enable_cap x2apic = {.cap = KVM_CAP_X2APIC_API,
            .args[0] = KVM_X2APIC_API_USE_32BIT_IDS | KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK};
    int r = need(sys_kvm_ioctl_ptr(kvm->fd, KVM_SET_IDENTITY_MAP_ADDR, &identity_map),
            "KVM_SET_IDENTITY_MAP_ADDR", err);

    if (r >= 0)
        r = need(sys_kvm_ioctl(kvm->fd, KVM_SET_TSS_ADDR, TSS_ADDRESS), "KVM_SET_TSS_ADDR", err);
    if (r >= 0)
        r = need(sys_kvm_ioctl_ptr(kvm->fd, KVM_ENABLE_CAP, &split), "KVM_CAP_SPLIT_IRQCHIP", err);
    if (r >= 0) /* from Linux 4.7 on; without it ids end at 255, which is enough */
        (void)sys_kvm_ioctl_ptr(kvm->fd, KVM_ENABLE_CAP, &x2apic);
    return r < 0 ? r : 0;
}

static void on_kick_signal(int signal)
{
    (void)signal;
}

/* Without SA_RESTART: the signal's only purpose is to end the call. */
static int install_kick_signal(struct error *err)
{
    struct sigaction action = {.sa_handler = on_kick_signal};

    return sigaction(KICK_SIGNAL, &action, NULL) < 0 ? error_sys(err, errno, "sigaction") : 0;
}

static void kvm_close(void *accel)
{
    struct kvm_machine *kvm = accel;

    if (kvm->config.ioapic)
        kvm->config.ioapic->on_change = NULL;
    cleanup_close(&kvm->fd);
    cleanup_close(&kvm->system_fd);
    free(kvm);
}

static int explain_open(int r, struct error *err)
{
    const char *hint = NULL;

    if (r == -ENOENT || r == -ENODEV || r == -ENXIO)
        hint = "this host offers no KVM: load kvm-amd or kvm-intel, or use --accel emu";
    else if (r == -EACCES || r == -EPERM)
        hint = "become a member of the group kvm, or use --accel emu";
    return error_sys_hint(err, -r, hint, "open /dev/kvm");
}

static int open_system(struct kvm_machine *kvm, struct error *err)
{
    kvm->system_fd = sys_kvm_open();
    if (kvm->system_fd < 0)
        return explain_open(kvm->system_fd, err);
    int version = sys_kvm_ioctl(kvm->system_fd, KVM_GET_API_VERSION, 0);
    if (version != KVM_API_VERSION)
        return error_set(err, EOPNOTSUPP, "/dev/kvm speaks version %d; %d is needed", version,
                KVM_API_VERSION);
    int size = sys_kvm_ioctl(kvm->system_fd, KVM_GET_VCPU_MMAP_SIZE, 0);
    if (size < 0)
        return error_sys(err, -size, "KVM: KVM_GET_VCPU_MMAP_SIZE");
    kvm->run_size = (size_t)size;
    do
        kvm->fd = sys_kvm_ioctl(kvm->system_fd, KVM_CREATE_VM, 0);
    while (kvm->fd == -EINTR);
    return kvm->fd < 0 ? error_sys(err, -kvm->fd, "KVM: KVM_CREATE_VM") : 0;
}

static int kvm_open(const struct accel_config *config, void **ret, struct error *err)
{
    struct kvm_machine *kvm = calloc(1, sizeof(*kvm));

    if (!kvm)
        return error_set(err, ENOMEM, "out of memory");
    kvm->system_fd = kvm->fd = -1;
    int r = open_system(kvm, err);
    kvm->config = *config;
    if (r == 0)
        r = install_kick_signal(err);
    if (r == 0)
        r = set_up_chips(kvm, err);
    if (r == 0)
        r = add_memory(kvm, err);
    if (r < 0) {
        kvm->config.ioapic = NULL;
        kvm_close(kvm);
        return r;
    }
    if (config->ioapic) {
        config->ioapic->on_change_data = kvm;
        config->ioapic->on_change = update_routing;
    }
    *ret = kvm;
    return 0;
}

/* ---- vCPUs ---- */

struct cpuid_block {
    struct kvm_cpuid2 head;
    struct kvm_cpuid_entry2 entries[CPUID_ENTRIES_MAX];
};

static int kvm_features(struct features *ret, struct error *err)
{
    _cleanup_close_ int fd = sys_kvm_open();

    if (fd < 0)
        return explain_open(fd, err);
    _cleanup_free_ struct cpuid_block *block = calloc(1, sizeof(*block));
    if (!block)
        return error_set(err, ENOMEM, "out of memory");
    block->head.nent = CPUID_ENTRIES_MAX;
    int r = need(
            sys_kvm_ioctl_ptr(fd, KVM_GET_SUPPORTED_CPUID, block), "KVM_GET_SUPPORTED_CPUID", err);
    if (r < 0)
        return r;
    *ret = (struct features){0};
    for (uint32_t i = 0; i < block->head.nent; i++) {
        const struct kvm_cpuid_entry2 *entry = &block->entries[i];
        uint32_t regs[4] = {entry->eax, entry->ebx, entry->ecx, entry->edx};
        features_take(ret, entry->function, entry->index, regs);
    }
    return 0;
}

/* Without XSAVE there is no leaf that tells its layout either. */
static void limit_cpuid(struct kvm_cpuid_entry2 *entry, const struct features *features)
{
    uint32_t regs[4] = {entry->eax, entry->ebx, entry->ecx, entry->edx};

    features_mask(features, entry->function, entry->index, regs);
    if (entry->function == 0xd && !(features->word[FEATURES_1_ECX] & 1U << 26))
        memset(regs, 0, sizeof(regs));
    entry->eax = regs[0];
    entry->ebx = regs[1];
    entry->ecx = regs[2];
    entry->edx = regs[3];
}

/* What differs from vCPU to vCPU, or is ours to say. */
static void adjust_cpuid(struct kvm_cpuid_entry2 *entry, unsigned id, unsigned cpus)
{
    switch (entry->function) {
    case 0x1:
        entry->ebx = (entry->ebx & 0xffff) | id << 24 | (cpus & 0xff) << 16;
        entry->ecx |= 1U << 24 | 1U << 31; /* TSC deadline timer, hypervisor */
        break;
    case 0xb:
    case 0x1f:
        entry->edx = id;
        break;
    case 0x8000001e:
        entry->eax = id;
        entry->ebx = id;
        entry->ecx = 0;
        break;
    default:
        break;
    }
}

static int set_cpuid(struct kvm_vcpu *vcpu, struct error *err)
{
    _cleanup_free_ struct cpuid_block *block = calloc(1, sizeof(*block));

    if (!block)
        return error_set(err, ENOMEM, "out of memory");
    block->head.nent = CPUID_ENTRIES_MAX;
    int r = need(sys_kvm_ioctl_ptr(vcpu->kvm->system_fd, KVM_GET_SUPPORTED_CPUID, block),
            "KVM_GET_SUPPORTED_CPUID", err);
    if (r < 0)
        return r;
    for (uint32_t i = 0; i < block->head.nent; i++) {
        if (vcpu->kvm->config.features)
            limit_cpuid(&block->entries[i], vcpu->kvm->config.features);
        adjust_cpuid(&block->entries[i], vcpu->id, vcpu->kvm->config.cpus);
    }
    r = need(sys_kvm_ioctl_ptr(vcpu->fd, KVM_SET_CPUID2, block), "KVM_SET_CPUID2", err);
    return r < 0 ? r : 0;
}

static void kvm_vcpu_free(void *data)
{
    struct kvm_vcpu *vcpu = data;

    if (vcpu->run)
        munmap(vcpu->run, vcpu->run_size);
    cleanup_close(&vcpu->fd);
    free(vcpu);
}

static int make_vcpu(struct kvm_vcpu *vcpu, struct error *err)
{
    vcpu->fd = sys_kvm_ioctl(vcpu->kvm->fd, KVM_CREATE_VCPU, vcpu->id);
    if (vcpu->fd < 0)
        return error_sys(err, -vcpu->fd, "KVM: KVM_CREATE_VCPU %u", vcpu->id);
    void *run = mmap(NULL, vcpu->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu->fd, 0);
    if (run == MAP_FAILED)
        return error_sys(err, errno, "KVM: mmap of vCPU %u", vcpu->id);
    vcpu->run = run;
    int r = set_cpuid(vcpu, err);
    if (r == 0 && vcpu->kvm->config.tsc_khz) /* -EINVAL where the host cannot scale: told by tsc_khz
                                                below, which the snapshot's reader compares */
        (void)sys_kvm_ioctl(vcpu->fd, KVM_SET_TSC_KHZ, vcpu->kvm->config.tsc_khz);
    int khz = sys_kvm_ioctl(vcpu->fd, KVM_GET_TSC_KHZ, 0);
    if (khz > 0)
        vcpu->kvm->tsc_khz = (uint64_t)khz;
    return r;
}

static int kvm_vcpu_new(void *accel, unsigned id, void **ret, struct error *err)
{
    struct kvm_machine *kvm = accel;
    struct kvm_vcpu *vcpu = calloc(1, sizeof(*vcpu));

    if (!vcpu)
        return error_set(err, ENOMEM, "out of memory");
    *vcpu = (struct kvm_vcpu){.kvm = kvm, .fd = -1, .id = id, .run_size = kvm->run_size};
    int r = make_vcpu(vcpu, err);
    if (r < 0) {
        kvm_vcpu_free(vcpu);
        return r;
    }
    *ret = vcpu;
    return 0;
}

static void kvm_kick(void *data)
{
    struct kvm_vcpu *vcpu = data;

    atomic_store(&vcpu->stop, true);
    __atomic_store_n(&vcpu->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
    if (atomic_load(&vcpu->in_thread))
        pthread_kill(vcpu->thread, KICK_SIGNAL);
}

/* ---- exits ---- */

static void serve_port(struct kvm_vcpu *vcpu)
{
    const struct bus *pio = vcpu->kvm->config.pio;
    struct kvm_run *run = vcpu->run;
    uint8_t *at = (uint8_t *)run + run->io.data_offset;

    for (uint32_t i = 0; i < run->io.count; i++, at += run->io.size) {
        uint64_t value = 0;
        if (run->io.direction == KVM_EXIT_IO_IN) {
            value = bus_read(pio, run->io.port, run->io.size);
            memcpy(at, &value, run->io.size);
        } else {
            memcpy(&value, at, run->io.size);
            bus_write(pio, run->io.port, run->io.size, value);
        }
    }
}

/* KVM splits nothing: an instruction may touch up to 8 bytes, of which a device takes 1, 2, 4, 8.
 */
static void serve_mmio(struct kvm_vcpu *vcpu)
{
    const struct bus *mmio = vcpu->kvm->config.mmio;
    struct kvm_run *run = vcpu->run;
    uint64_t value = 0;

    if (run->mmio.is_write) {
        memcpy(&value, run->mmio.data, sizeof(value));
        bus_write(mmio, run->mmio.phys_addr, run->mmio.len, value);
    } else {
        value = bus_read(mmio, run->mmio.phys_addr, run->mmio.len);
        memcpy(run->mmio.data, &value, sizeof(value));
    }
}

static enum accel_stop fail(struct kvm_vcpu *vcpu, struct error *err)
{
    const struct kvm_run *run = vcpu->run;
    struct kvm_regs regs = {0};

    (void)sys_kvm_ioctl_ptr(vcpu->fd, KVM_GET_REGS, &regs);
    if (run->exit_reason == KVM_EXIT_INTERNAL_ERROR)
        error_set(err, EIO,
                "KVM cannot go on (internal error %u) at rip 0x%" PRIx64
                "; this kind of KVM does not run guest kernels, use --accel emu",
                run->internal.suberror, (uint64_t)regs.rip);
    else if (run->exit_reason == KVM_EXIT_FAIL_ENTRY)
        error_set(err, EIO,
                "the processor refused the vCPU's state (reason 0x%" PRIx64 ") at rip 0x%" PRIx64,
                (uint64_t)run->fail_entry.hardware_entry_failure_reason, (uint64_t)regs.rip);
    else
        error_set(err, EIO,
                "KVM stopped for a reason that is not known here (%u) at rip 0x%" PRIx64,
                run->exit_reason, (uint64_t)regs.rip);
    return ACCEL_FAILED;
}

/* ACCEL_KICKED stands for "go on". */
static enum accel_stop serve_exit(struct kvm_vcpu *vcpu, struct error *err)
{
    switch (vcpu->run->exit_reason) {
    case KVM_EXIT_IO:
        serve_port(vcpu);
        return ACCEL_KICKED;
    case KVM_EXIT_MMIO:
        serve_mmio(vcpu);
        return ACCEL_KICKED;
    case KVM_EXIT_IOAPIC_EOI:
        ioapic_end_of_interrupt(vcpu->kvm->config.ioapic, vcpu->run->eoi.vector);
        return ACCEL_KICKED;
    case KVM_EXIT_INTR:
    case KVM_EXIT_HLT:
        return ACCEL_KICKED;
    case KVM_EXIT_SHUTDOWN:
    case KVM_EXIT_SYSTEM_EVENT:
        return ACCEL_SHUTDOWN;
    default:
        return fail(vcpu, err);
    }
}

/* After a kick: serves the exit that came with it, and enters once more with immediate_exit so that
 * KVM completes the instruction; only then is the vCPU's state whole. */
static enum accel_stop stop_here(struct kvm_vcpu *vcpu, int r, struct error *err)
{
    enum accel_stop stop = r == 0 ? serve_exit(vcpu, err) : ACCEL_KICKED;

    __atomic_store_n(&vcpu->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
    if (stop == ACCEL_KICKED)
        (void)sys_kvm_run(vcpu->fd);
    __atomic_store_n(&vcpu->run->immediate_exit, 0, __ATOMIC_SEQ_CST);
    return stop;
}

static enum accel_stop run_until_stop(struct kvm_vcpu *vcpu, struct error *err)
{
    for (;;) {
        int r = sys_kvm_run(vcpu->fd);
        vcpu->exits++;
        if (atomic_exchange(&vcpu->stop, false))
            return stop_here(vcpu, r, err);
        if (r == -EINTR || r == -EAGAIN)
            continue;
        if (r < 0) {
            error_sys(err, -r, "ioctl KVM_RUN");
            return ACCEL_FAILED;
        }
        enum accel_stop stop = serve_exit(vcpu, err);
        if (stop != ACCEL_KICKED)
            return stop;
    }
}

static enum accel_stop kvm_run_vcpu(void *data, struct error *err)
{
    struct kvm_vcpu *vcpu = data;

    vcpu->thread = pthread_self();
    atomic_store(&vcpu->in_thread, true);
    enum accel_stop stop = run_until_stop(vcpu, err);
    atomic_store(&vcpu->in_thread, false);
    return stop;
}

static int kvm_get_state(void *data, struct accel_vcpu_state *ret, struct error *err)
{
    struct kvm_vcpu *vcpu = data;

    *ret = (struct accel_vcpu_state){0};
    return kvm_state_get(vcpu->fd, ret, err);
}

static int kvm_set_state(void *data, const struct accel_vcpu_state *state, struct error *err)
{
    struct kvm_vcpu *vcpu = data;

    return kvm_state_set(vcpu->fd, state, err);
}

static void kvm_get_stats(void *data, struct accel_stats *ret)
{
    struct kvm_vcpu *vcpu = data;

    *ret = (struct accel_stats){.exits = vcpu->exits};
}

static uint64_t kvm_tsc_khz(void *accel)
{
    struct kvm_machine *kvm = accel;

    return kvm->tsc_khz;
}

static int kvm_get_clock(void *accel, struct accel_clock *ret, struct error *err)
{
    struct kvm_machine *kvm = accel;
    struct kvm_clock_data clock = {0};
    int r = need(sys_kvm_ioctl_ptr(kvm->fd, KVM_GET_CLOCK, &clock), "KVM_GET_CLOCK", err);

    if (r < 0)
        return r;
    *ret = (struct accel_clock){.guest_ns = clock.clock}; /* the TSC is among the vCPUs' MSRs */
    return 0;
}

static int kvm_set_clock(void *accel, const struct accel_clock *clock, struct error *err)
{
    struct kvm_machine *kvm = accel;
    struct kvm_clock_data data = {.clock = clock->guest_ns};
    int r = need(sys_kvm_ioctl_ptr(kvm->fd, KVM_SET_CLOCK, &data), "KVM_SET_CLOCK", err);

    return r < 0 ? r : 0;
}

const struct accel_ops accel_kvm_ops = {
        .name = "kvm",
        .features = kvm_features,
        .open = kvm_open,
        .close = kvm_close,
        .vcpu_new = kvm_vcpu_new,
        .vcpu_free = kvm_vcpu_free,
        .run = kvm_run_vcpu,
        .kick = kvm_kick,
        .get_state = kvm_get_state,
        .set_state = kvm_set_state,
        .get_stats = kvm_get_stats,
        .deliver = kvm_deliver,
        .tsc_khz = kvm_tsc_khz,
        .get_clock = kvm_get_clock,
        .set_clock = kvm_set_clock,
};
