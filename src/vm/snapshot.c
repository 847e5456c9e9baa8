#include "vm/snapshot.h"

#include <inttypes.h>
#include <string.h>

#include "base/cleanup.h"

#define MSR_TSC 0x10
#define TSC_TOLERANCE                                                                              \
    4000 /* one part in so many: 250 in a million, what Linux takes as the same                    \
          */

/* What belongs to the machine as a whole. */
struct whole {
    uint64_t tsc_khz;
    struct accel_clock clock;
    struct features features;
    uint32_t devices;
};

static const struct state_field whole_fields[] = {
        STATE_FIELD(struct whole, tsc_khz),
        STATE_FIELD(struct whole, clock.guest_ns),
        STATE_FIELD(struct whole, clock.tsc),
        STATE_FIELD(struct whole, features.word),
        STATE_FIELD(struct whole, devices),
};
static const struct state_table whole_table = STATE_TABLE("machine", whole_fields);

static const struct state_field ioapic_fields[] = {
        STATE_FIELD(struct ioapic_state, entries),
        STATE_FIELD(struct ioapic_state, select),
        STATE_FIELD(struct ioapic_state, id),
        STATE_FIELD(struct ioapic_state, levels),
        STATE_FIELD(struct ioapic_state, pending),
};
static const struct state_table ioapic_table = STATE_TABLE("ioapic", ioapic_fields);

static const struct state_field serial_fields[] = {
        STATE_FIELD(struct serial_state, ier),
        STATE_FIELD(struct serial_state, lcr),
        STATE_FIELD(struct serial_state, mcr),
        STATE_FIELD(struct serial_state, scr),
        STATE_FIELD(struct serial_state, dll),
        STATE_FIELD(struct serial_state, dlm),
        STATE_FIELD(struct serial_state, fcr),
        STATE_FIELD(struct serial_state, tx_interrupt),
        STATE_FIELD(struct serial_state, first),
        STATE_FIELD(struct serial_state, count),
        STATE_FIELD(struct serial_state, fifo),
};
static const struct state_table serial_table = STATE_TABLE("serial", serial_fields);

#define VCPU(member_) STATE_FIELD(struct accel_vcpu_state, member_)
#define VCPU_FLAG(member_) STATE_FLAG(struct accel_vcpu_state, member_)
static const struct state_field vcpu_fields[] = {
        VCPU(cpu.gpr),
        VCPU(cpu.rip),
        VCPU(cpu.rflags),
        VCPU(cpu.segment),
        VCPU(cpu.tr),
        VCPU(cpu.ldt),
        VCPU(cpu.gdt.base),
        VCPU(cpu.gdt.limit),
        VCPU(cpu.idt.base),
        VCPU(cpu.idt.limit),
        VCPU(cpu.cr0),
        VCPU(cpu.cr2),
        VCPU(cpu.cr3),
        VCPU(cpu.cr4),
        VCPU(cpu.efer),
        VCPU(cpu.fcw),
        VCPU(cpu.fsw),
        VCPU(cpu.ftwx),
        VCPU(cpu.last_opcode),
        VCPU(cpu.last_ip),
        VCPU(cpu.last_dp),
        VCPU(cpu.fpr),
        VCPU(cpu.xmm),
        VCPU(cpu.mxcsr),
        VCPU(cpu.db),
        VCPU(cpu.dr6),
        VCPU(cpu.dr7),
        VCPU_FLAG(cpu.halted),
        VCPU_FLAG(cpu.interrupt_shadow),
        VCPU_FLAG(cpu.nmi_pending),
        VCPU_FLAG(cpu.nmi_masked),
        VCPU(msrs),
        VCPU(msr_count),
        VCPU(phase),
        VCPU(apic_base),
        VCPU(tsc_deadline),
        VCPU(lapic),
        VCPU(xcr0),
};
static const struct state_table vcpu_table = STATE_TABLE("vcpu", vcpu_fields);

/* Of those that have it. */
static const struct state_field xsave_fields[] = {VCPU(xsave)};
static const struct state_table xsave_table = STATE_TABLE("xsave", xsave_fields);

/* ---- saving ---- */

static uint64_t *tsc_of(struct accel_vcpu_state *state)
{
    for (uint32_t i = 0; i < state->msr_count && i < ACCEL_MSRS_MAX; i++)
        if (state->msrs[i].index == MSR_TSC)
            return &state->msrs[i].value;
    return NULL;
}

/* All vCPUs have one time: that of the first, since they are read one after the other. */
static int save_vcpus(const struct snapshot_parts *parts, struct accel_clock *clock,
        struct buf *out, struct error *err)
{
    for (unsigned i = 0; i < parts->vcpus->count; i++) {
        struct accel_vcpu_state state = {0};
        int r = parts->ops->get_state(parts->vcpus->list[i], &state, err);
        if (r < 0)
            return error_prefix(err, "vCPU %u", i);
        uint64_t *tsc = tsc_of(&state);
        if (tsc && i == 0)
            clock->tsc = *tsc;
        else if (tsc)
            *tsc = clock->tsc;
        state_put(out, &vcpu_table, i, &state);
        if (state.xcr0)
            state_put(out, &xsave_table, i, &state);
    }
    return 0;
}

static int save_state(const struct snapshot_parts *parts, struct buf *out, struct error *err)
{
    struct whole whole = {
            .tsc_khz = parts->ops->tsc_khz(parts->accel),
            .features = parts->features,
            .devices = parts->slots->count,
    };
    struct ioapic_state ioapic;
    struct serial_state serial;
    int r = parts->ops->get_clock(parts->accel, &whole.clock, err);

    if (r == 0)
        r = save_vcpus(parts, &whole.clock, out, err);
    if (r < 0)
        return r;
    state_put(out, &whole_table, 0, &whole);
    ioapic_get_state(parts->ioapic, &ioapic);
    state_put(out, &ioapic_table, 0, &ioapic);
    serial_get_state(parts->serial, &serial);
    state_put(out, &serial_table, 0, &serial);
    slots_save(parts->slots, out);
    return out->overflow ? error_set(err, EFBIG, "the machine's state is too large") : 0;
}

int snapshot_save(const struct snapshot_parts *parts, int fd, const char *name, const char *label,
        struct error *err)
{
    _cleanup_buf_ struct buf state = {.max = SNAPSHOT_STATE_MAX};
    struct iovec memory[ARRAY_SIZE(parts->memory->regions)];
    int r = slots_hold(parts->slots, err);

    if (r < 0)
        return r;
    for (size_t i = 0; i < parts->memory->count; i++)
        memory[i] = (struct iovec){parts->memory->regions[i].host, parts->memory->regions[i].size};
    r = save_state(parts, &state, err);
    if (r == 0)
        r = proto_snapshot_write(fd, name, label, parts->vcpus->count, state.data, state.length,
                memory, parts->memory->count, err);
    slots_release(parts->slots);
    return r;
}

/* ---- restoring ---- */

int snapshot_open(int fd, const char *name, bool verify, struct arena *arena, struct snapshot *ret,
        struct error *err)
{
    struct snapshot snapshot = {.name = name};
    struct whole whole = {0};
    int r = proto_snapshot_read(fd, name, arena, &snapshot.file, err);

    if (r == 0 && verify)
        r = proto_snapshot_verify_memory(fd, name, &snapshot.file, err);
    if (r == 0)
        r = state_open(
                &snapshot.state, snapshot.file.state, snapshot.file.header.state_length, err);
    if (r == 0)
        r = state_get(&snapshot.state, &whole_table, 0, &whole, err);
    if (r == 0 && (whole.tsc_khz == 0 || snapshot.file.header.cpus > ACCEL_CPUS_MAX))
        r = error_set(err, EBADMSG, "%s: the snapshot has %u vCPUs and a clock of %" PRIu64 " kHz",
                name, snapshot.file.header.cpus, whole.tsc_khz);
    if (r < 0)
        return r;
    snapshot.tsc_khz = whole.tsc_khz;
    snapshot.features = whole.features;
    snapshot.clock = whole.clock;
    *ret = snapshot;
    return 0;
}

/* Chunks without data stay anonymous memory: a page of a file's hole would be kept twice once the
 * guest writes to it. Neighbours are mapped at once. */
int snapshot_map_memory(
        const struct snapshot *snapshot, int fd, const struct memory *memory, struct error *err)
{
    const struct proto_snapshot_header *header = &snapshot->file.header;
    uint64_t first = 0;
    int r = 0;

    for (uint64_t i = 0; r == 0 && i <= header->chunk_count; i++) {
        if (i < header->chunk_count && snapshot->file.chunks[i])
            continue;
        uint64_t begin = first * header->chunk_size, end = i * header->chunk_size;
        if (end > header->memory_size)
            end = header->memory_size;
        if (end > begin)
            r = memory_map_file(memory, begin, end - begin, fd, header->memory_offset + begin, err);
        first = i + 1;
    }
    return r;
}

static int restore_vcpu(const struct snapshot *snapshot, const struct snapshot_parts *parts,
        unsigned index, struct error *err)
{
    struct accel_vcpu_state state = {0};
    int r = state_get(&snapshot->state, &vcpu_table, index, &state, err);

    if (r == 0 && state.xcr0)
        r = state_get(&snapshot->state, &xsave_table, index, &state, err);
    if (r == 0 && (state.phase > ACCEL_HALTED || state.msr_count > ACCEL_MSRS_MAX))
        r = error_set(err, EBADMSG, "vCPU %u of the snapshot is in no known state", index);
    if (r == 0)
        r = parts->ops->set_state(parts->vcpus->list[index], &state, err);
    return r < 0 ? error_prefix(err, "%s: vCPU %u", snapshot->name, index) : 0;
}

static int restore_chips(
        const struct snapshot *snapshot, const struct snapshot_parts *parts, struct error *err)
{
    struct ioapic_state ioapic = {0};
    struct serial_state serial = {0};
    int r = state_get(&snapshot->state, &ioapic_table, 0, &ioapic, err);

    if (r == 0)
        r = state_get(&snapshot->state, &serial_table, 0, &serial, err);
    if (r == 0 && (serial.first >= SERIAL_FIFO || serial.count > SERIAL_FIFO))
        r = error_set(err, EBADMSG, "the serial port of the snapshot holds %u bytes", serial.count);
    if (r < 0)
        return r;
    ioapic_set_state(parts->ioapic, &ioapic);
    serial_set_state(parts->serial, &serial);
    return 0;
}

/* A host whose clock has another rate has to scale it, which KVM does where the processor can. */
static int check_clock(
        const struct snapshot *snapshot, const struct snapshot_parts *parts, struct error *err)
{
    uint64_t here = parts->ops->tsc_khz(parts->accel), there = snapshot->tsc_khz;
    uint64_t apart = here > there ? here - there : there - here;

    if (apart <= there / TSC_TOLERANCE)
        return 0;
    return error_set(err, EOPNOTSUPP,
            "%s: the guest's TSC runs at %" PRIu64 " kHz; this host has %" PRIu64
            " kHz and cannot scale it; use --accel emu",
            snapshot->name, there, here);
}

int snapshot_restore(
        const struct snapshot *snapshot, const struct snapshot_parts *parts, struct error *err)
{
    struct whole whole = {0};
    int r = check_clock(snapshot, parts, err);

    if (r == 0)
        r = state_get(&snapshot->state, &whole_table, 0, &whole, err);
    if (r == 0 && whole.devices != parts->slots->count)
        r = error_set(err, EINVAL,
                "%s: the snapshot's machine has %u virtio devices, the description asks for %u; "
                "give it the same disks, networks and shares",
                snapshot->name, whole.devices, parts->slots->count);
    if (r == 0)
        r = restore_chips(snapshot, parts, err);
    for (unsigned i = 0; r == 0 && i < parts->vcpus->count; i++)
        r = restore_vcpu(snapshot, parts, i, err);
    if (r == 0)
        r = parts->ops->set_clock(parts->accel, &snapshot->clock, err);
    if (r == 0)
        r = slots_restore(parts->slots, &snapshot->state, err);
    return r;
}
