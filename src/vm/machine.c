#include "vm/machine.h"

#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>

#include "base/cleanup.h"
#include "vm/accel_emu.h"
#include "vm/boot/boot.h"
#include "vm/console_input.h"
#include "vm/dev/ioapic.h"
#include "vm/dev/power.h"
#include "vm/dev/serial.h"
#include "vm/slots.h"
#include "vm/snapshot.h"
#include "vm/vcpu.h"

#define UNKNOWN_MAX 64 /* names of opcodes, of each vCPU */

struct machine {
    struct machine_config config;
    struct proto_machine description; /* what config.description points to: a copy */
    struct arena arena;
    struct snapshot snapshot; /* what it goes on from, while it is built */
    int snapshot_fd;
    struct features features;
    struct memory memory;
    struct bus mmio, pio;
    struct ioapic ioapic;
    struct serial serial;
    struct console_input serial_input;
    struct power power;
    void *accel;
    struct vcpus vcpus;
    struct slots slots; /* the virtio devices */
    bool has_vcpus, paused;

    pthread_mutex_t lock; /* of `end` */
    struct machine_end end;
    int end_fd; /* eventfd: the machine has ended */
    struct loop_source *end_source;
};

const char *machine_end_name(enum machine_end_reason reason)
{
    static const char *const names[] = {
            [MACHINE_RUNS] = "running",
            [MACHINE_POWEROFF] = "poweroff",
            [MACHINE_RESET] = "reset",
            [MACHINE_PANIC] = "panic",
            [MACHINE_CRASH] = "crash",
            [MACHINE_EXIT] = "exit",
            [MACHINE_STOPPED] = "stopped",
            [MACHINE_FAILED] = "failed",
    };

    return names[reason];
}

/* ---- the end ---- */

/* The first reason counts: what a guest does while it is being stopped means nothing. */
static void end_machine(struct machine *machine, enum machine_end_reason reason, uint32_t status,
        const struct error *err)
{
    pthread_mutex_lock(&machine->lock);
    bool first = machine->end.reason == MACHINE_RUNS;
    if (first) {
        machine->end.reason = reason;
        machine->end.status = status;
        if (err)
            machine->end.error = *err;
    }
    pthread_mutex_unlock(&machine->lock);
    if (first)
        (void)eventfd_write(machine->end_fd, 1);
}

static void on_power(void *data, enum power_end end, uint32_t status)
{
    static const enum machine_end_reason reasons[] = {
            [POWER_OFF] = MACHINE_POWEROFF,
            [POWER_RESET_ASKED] = MACHINE_RESET,
            [POWER_PANICKED] = MACHINE_PANIC,
            [POWER_EXIT] = MACHINE_EXIT,
    };

    end_machine(data, reasons[end], status, NULL);
}

static void on_vcpu_stop(void *data, enum accel_stop stop, const struct error *err)
{
    bool failed = stop == ACCEL_FAILED;

    end_machine(data, failed ? MACHINE_FAILED : MACHINE_CRASH, 0, failed ? err : NULL);
}

static void on_end(struct loop *loop, int fd, uint32_t events, void *data)
{
    struct machine *machine = data;

    (void)loop;
    (void)fd;
    (void)events;
    loop_remove(machine->end_source);
    machine->end_source = NULL;
    vcpus_pause(&machine->vcpus);
    slots_stop(&machine->slots);
    machine->config.on_end(machine->config.data, &machine->end);
}

void machine_stop(struct machine *machine)
{
    end_machine(machine, MACHINE_STOPPED, 0, NULL);
}

/* ---- building ---- */

/* What the guest is shown: what it was shown before, or what there is. */
static int choose_features(struct machine *machine, struct error *err)
{
    struct features offered, portable;
    int r = machine->config.accel->features(&offered, err);

    if (r == 0 && machine->snapshot_fd >= 0) {
        machine->features = machine->snapshot.features;
        r = features_check(&machine->features, &offered, err);
        if (r < 0)
            error_append(err, "; one that is started with --portable goes on under kvm and emu");
        return r < 0 ? error_prefix(err, "%s", machine->snapshot.name) : 0;
    }
    machine->features = offered;
    if (r == 0 && machine->description.portable) {
        r = accel_emu_ops.features(&portable, err);
        machine->features = features_common(&offered, &portable);
    }
    return r;
}

static int build_core(struct machine *machine, struct error *err)
{
    const struct proto_machine *wanted = machine->config.description;
    bool restores = machine->snapshot_fd >= 0;
    int r = memory_init(&machine->memory, wanted->memory, err);

    if (r == 0 && restores)
        r = snapshot_map_memory(&machine->snapshot, machine->snapshot_fd, &machine->memory, err);
    if (r == 0)
        r = choose_features(machine, err);
    if (r < 0)
        return r;
    struct accel_config config = {
            .memory = &machine->memory,
            .mmio = &machine->mmio,
            .pio = &machine->pio,
            .ioapic = &machine->ioapic,
            .cpus = wanted->cpus,
            .tsc_khz = restores ? machine->snapshot.tsc_khz : 0,
            .features = &machine->features,
    };
    ioapic_init(&machine->ioapic);
    r = machine->config.accel->open(&config, &machine->accel, err);
    if (r < 0)
        return r;
    machine->ioapic.sink = (struct irq_sink){machine->config.accel->deliver, machine->accel};
    return bus_add(
            &machine->mmio, IOAPIC_BASE, IOAPIC_SIZE, &ioapic_bus_ops, &machine->ioapic, err);
}

static bool is_serial(const struct proto_machine *wanted)
{
    return !wanted->console.kind || str_equal(wanted->console.kind, "serial");
}

/* A port that is not the console is there as well, so that early messages have somewhere to go. */
static int build_serial(struct machine *machine, struct error *err)
{
    const struct proto_console *console = &machine->config.description->console;
    bool used = is_serial(machine->config.description);

    serial_init(&machine->serial, ioapic_line(&machine->ioapic, SERIAL_COM1_PIN),
            used && console->output.set ? (int)console->output.value : -1);
    if (used && console->input.set)
        console_input_init(&machine->serial_input, machine->config.loop, (int)console->input.value,
                &machine->serial);
    return bus_add(&machine->pio, SERIAL_COM1, SERIAL_SIZE, &serial_bus_ops, &machine->serial, err);
}

static int build_power(struct machine *machine, struct error *err)
{
    machine->power = (struct power){on_power, machine};
    return power_add(&machine->power, &machine->pio, machine->config.description->debug_exit, err);
}

static int build_vcpus(struct machine *machine, struct error *err)
{
    int r = vcpus_init(&machine->vcpus, machine->config.accel, machine->accel,
            machine->config.description->cpus, err);

    if (r < 0)
        return r;
    machine->has_vcpus = true;
    machine->vcpus.confine = machine->config.confine;
    machine->vcpus.on_stop = on_vcpu_stop;
    machine->vcpus.data = machine;
    return 0;
}

/* ---- booting ---- */

/* An inherited descriptor is borrowed; a path is opened and closed by boot_files. */
struct boot_files {
    int opened[BOOT_MODULES_MAX + 2];
    size_t count;
};

static void close_boot_files(struct boot_files *files)
{
    while (files->count > 0)
        close(files->opened[--files->count]);
}

static int open_boot_file(struct boot_files *files, const struct proto_file *from, const char *what,
        struct boot_file *ret, struct error *err)
{
    *ret = (struct boot_file){.fd = -1, .name = from->path ? from->path : what};
    if (from->fd.set) {
        ret->fd = (int)from->fd.value;
        return 0;
    }
    if (!from->path)
        return 0;
    ret->fd = open(from->path, O_RDONLY | O_CLOEXEC);
    if (ret->fd < 0)
        return error_sys(err, errno, "open the %s %s", what, from->path);
    files->opened[files->count++] = ret->fd;
    return 0;
}

static int open_modules(struct boot_files *files, const struct proto_machine *wanted,
        struct boot_file *modules, struct error *err)
{
    if (wanted->modules.count > BOOT_MODULES_MAX)
        return error_set(err, E2BIG, "%zu modules; a machine takes %d", wanted->modules.count,
                BOOT_MODULES_MAX);
    for (size_t i = 0; i < wanted->modules.count; i++) {
        int r = open_boot_file(files, &wanted->modules.items[i], "module", &modules[i], err);
        if (r < 0)
            return r;
    }
    return 0;
}

static int boot(struct machine *machine, struct error *err)
{
    const struct proto_machine *wanted = machine->config.description;
    _cleanup_(close_boot_files) struct boot_files files = {0};
    struct boot_file modules[BOOT_MODULES_MAX];
    struct accel_vcpu_state state = {0};
    struct boot_config config = {
            .modules = modules,
            .module_count = wanted->modules.count,
            .command_line = wanted->append,
            .acpi = {.cpus = wanted->cpus, .serial = true},
    };

    slots_describe(&machine->slots, &config.acpi);
    int r = open_boot_file(&files, &wanted->kernel, "kernel", &config.kernel, err);
    if (r == 0 && config.kernel.fd < 0)
        r = error_set(err, EINVAL, "no kernel is given (--kernel)");
    if (r == 0)
        r = open_boot_file(&files, &wanted->initrd, "initrd", &config.initrd, err);
    if (r == 0)
        r = open_modules(&files, wanted, modules, err);
    if (r == 0)
        r = boot_load(&machine->memory, &config, &state.cpu, err);
    if (r < 0)
        return r;
    /* the interrupt controller and the MSRs stay as they are after power-on */
    struct accel_vcpu_state start = {0};
    r = machine->config.accel->get_state(machine->vcpus.list[0], &start, err);
    if (r < 0)
        return r;
    start.cpu = state.cpu;
    start.phase = ACCEL_RUNNABLE;
    return machine->config.accel->set_state(machine->vcpus.list[0], &start, err);
}

/* ---- snapshots ---- */

static struct snapshot_parts parts_of(struct machine *machine)
{
    return (struct snapshot_parts){
            .memory = &machine->memory,
            .ops = machine->config.accel,
            .accel = machine->accel,
            .vcpus = &machine->vcpus,
            .ioapic = &machine->ioapic,
            .serial = &machine->serial,
            .slots = &machine->slots,
            .features = machine->features,
    };
}

/* The snapshot says how many vCPUs and how much memory there are. */
static int open_snapshot(struct machine *machine, struct error *err)
{
    const struct proto_file *from = &machine->description.snapshot;
    const char *name = from->path ? from->path : "the snapshot";

    if (!from->path && !from->fd.set)
        return 0;
    machine->snapshot_fd = from->fd.set ? fcntl((int)from->fd.value, F_DUPFD_CLOEXEC, 0)
                                        : open(from->path, O_RDONLY | O_CLOEXEC);
    if (machine->snapshot_fd < 0)
        return error_sys(err, errno, "open %s", name);
    int r = snapshot_open(machine->snapshot_fd, name, !machine->description.snapshot_verified,
            &machine->arena, &machine->snapshot, err);
    if (r < 0)
        return r;
    machine->description.cpus = machine->snapshot.file.header.cpus;
    machine->description.memory = machine->snapshot.file.header.memory_size;
    return 0;
}

static int restore(struct machine *machine, struct error *err)
{
    struct snapshot_parts parts = parts_of(machine);
    int r = snapshot_restore(&machine->snapshot, &parts, err);

    cleanup_close(&machine->snapshot_fd);
    arena_free(&machine->arena);
    machine->snapshot = (struct snapshot){0};
    return r;
}

int machine_snapshot(
        struct machine *machine, int fd, const char *name, const char *label, struct error *err)
{
    struct snapshot_parts parts = parts_of(machine);

    if (machine_end_of(machine) != MACHINE_RUNS)
        return error_set(err, ESRCH, "the machine has ended");
    vcpus_pause(&machine->vcpus);
    int r = snapshot_save(&parts, fd, name, label, err);
    if (!machine->paused)
        machine_resume(machine);
    return r;
}

/* The parts list. */
static int build(struct machine *machine, struct error *err)
{
    const struct proto_machine *wanted = machine->config.description;
    struct slots_config slots = {
            .description = wanted,
            .memory = &machine->memory,
            .mmio = &machine->mmio,
            .ioapic = &machine->ioapic,
            .loop = machine->config.loop,
            .confine = machine->config.confine,
    };
    int r = open_snapshot(machine, err);

    if (r == 0)
        r = build_core(machine, err);
    if (r == 0)
        r = build_serial(machine, err);
    if (r == 0)
        r = build_power(machine, err);
    if (r == 0)
        r = slots_build(&machine->slots, &slots, err);
    if (r == 0)
        r = build_vcpus(machine, err);
    if (r == 0)
        r = machine->snapshot_fd >= 0 ? restore(machine, err) : boot(machine, err);
    return r;
}

static int make_end_source(struct machine *machine, struct error *err)
{
    machine->end_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (machine->end_fd < 0)
        return error_sys(err, errno, "eventfd");
    int r = loop_add_fd(
            machine->config.loop, machine->end_fd, EPOLLIN, on_end, machine, &machine->end_source);
    return r < 0 ? error_sys(err, -r, "epoll_ctl") : 0;
}

int machine_build(const struct machine_config *config, struct machine **ret, struct error *err)
{
    struct machine *machine = calloc(1, sizeof(*machine));

    if (!machine)
        return error_set(err, ENOMEM, "out of memory");
    machine->config = *config;
    machine->description = *config->description;
    machine->config.description = &machine->description;
    machine->snapshot_fd = machine->end_fd = -1;
    pthread_mutex_init(&machine->lock, NULL);
    int r = make_end_source(machine, err);
    if (r == 0)
        r = build(machine, err);
    if (r < 0) {
        machine_free(machine);
        return r;
    }
    *ret = machine;
    return 0;
}

int machine_start(struct machine *machine, struct error *err)
{
    int r = slots_start(&machine->slots, err);

    return r < 0 ? r : vcpus_start(&machine->vcpus, err);
}

void machine_pause(struct machine *machine)
{
    vcpus_pause(&machine->vcpus);
    machine->paused = true;
}

/* One that has ended stands still for good. */
void machine_resume(struct machine *machine)
{
    machine->paused = false;
    if (machine_end_of(machine) == MACHINE_RUNS)
        vcpus_resume(&machine->vcpus);
}

bool machine_is_paused(const struct machine *machine)
{
    return machine->paused;
}

enum machine_end_reason machine_end_of(struct machine *machine)
{
    pthread_mutex_lock(&machine->lock);
    enum machine_end_reason reason = machine->end.reason;
    pthread_mutex_unlock(&machine->lock);
    return reason;
}

/* ---- statistics ---- */

static void add_unknown(
        struct arena *arena, struct proto_stats *stats, const struct cpu_unknown *from)
{
    for (size_t i = 0; i < stats->unknown.count; i++)
        if (str_equal(stats->unknown.items[i].name, from->name)) {
            stats->unknown.items[i].count += from->count;
            return;
        }
    struct proto_unknown *added = RECORD_APPEND(arena, &stats->unknown);
    *added = (struct proto_unknown){from->name, from->count};
}

static void add_vcpu(
        struct machine *machine, unsigned index, struct arena *arena, struct proto_stats *stats)
{
    const struct accel_ops *accel = machine->config.accel;
    struct cpu_unknown unknown[UNKNOWN_MAX];
    struct accel_stats counts = {0};

    accel->get_stats(machine->vcpus.list[index], &counts);
    stats->cpus.items[index] = (struct proto_cpu_stats){counts.exits, counts.instructions};
    if (!accel->get_unknown)
        return;
    size_t count = accel->get_unknown(machine->vcpus.list[index], unknown, UNKNOWN_MAX);
    for (size_t i = 0; i < count && i < UNKNOWN_MAX; i++)
        add_unknown(arena, stats, &unknown[i]);
}

void machine_get_stats(struct machine *machine, struct arena *arena, struct proto_stats *ret)
{
    struct proto_stats stats = {
            .accel = machine->config.accel->name,
            .because = machine->config.accel_because,
            .memory = machine->memory.size,
            .resident = memory_resident(&machine->memory),
    };

    vcpus_pause(&machine->vcpus);
    stats.cpus.count = machine->vcpus.count;
    stats.cpus.items = arena_new_array(arena, struct proto_cpu_stats, stats.cpus.count);
    for (unsigned i = 0; i < machine->vcpus.count; i++)
        add_vcpu(machine, i, arena, &stats);
    slots_get_given(&machine->slots, &stats.inflated, &stats.reported);
    slots_get_disks(&machine->slots, arena, &stats);
    if (!machine->paused)
        machine_resume(machine);
    *ret = stats;
}

int machine_set_balloon(struct machine *machine, uint64_t bytes, struct error *err)
{
    if (bytes > machine->memory.size)
        return error_set(err, EINVAL, "the machine has no more than %" PRIu64 " MiB to give back",
                machine->memory.size >> 20);
    if (!slots_set_balloon(&machine->slots, bytes))
        return error_set(err, EOPNOTSUPP, "the machine was made without a balloon");
    return 0;
}

int machine_connect_net(struct machine *machine, int fd, const char *tap, struct arena *arena,
        const char **ret_device, struct error *err)
{
    return slots_connect_net(&machine->slots, fd, tap, arena, ret_device, err);
}

int machine_disconnect_net(struct machine *machine, const char *tap, struct arena *arena,
        const char **ret_device, struct error *err)
{
    return slots_disconnect_net(&machine->slots, tap, arena, ret_device, err);
}

void machine_get_nets(
        const struct machine *machine, struct arena *arena, struct proto_control_reply *reply)
{
    slots_get_nets(&machine->slots, arena, reply);
}

void machine_free(struct machine *machine)
{
    if (!machine)
        return;
    if (machine->has_vcpus)
        vcpus_free(&machine->vcpus);
    slots_free(&machine->slots);
    console_input_free(&machine->serial_input);
    if (machine->accel)
        machine->config.accel->close(machine->accel);
    memory_free(&machine->memory);
    cleanup_close(&machine->snapshot_fd);
    arena_free(&machine->arena);
    loop_remove(machine->end_source);
    cleanup_close(&machine->end_fd);
    pthread_mutex_destroy(&machine->lock);
    free(machine);
}

const struct memory *machine_memory(const struct machine *machine)
{
    return &machine->memory;
}
