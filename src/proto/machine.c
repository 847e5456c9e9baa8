#include "proto/machine.h"

#define TAG_MAX 35

static const struct field rate_fields[] = {
        FIELD_AS(struct proto_rate, bytes_per_second, "bytesPerSecond", FIELD_U64),
        FIELD_AS(struct proto_rate, operations_per_second, "operationsPerSecond", FIELD_U64),
};
static const struct record rate_record = RECORD(struct proto_rate, rate_fields);

static const struct field file_fields[] = {
        FIELD(struct proto_file, path, FIELD_STR),
        FIELD(struct proto_file, fd, FIELD_OPT_I64),
};
static const struct record file_record = RECORD(struct proto_file, file_fields);

static const struct field disk_fields[] = {
        FIELD_OF(struct proto_disk, file, "file", FIELD_RECORD, &file_record),
        FIELD(struct proto_disk, format, FIELD_STR),
        FIELD(struct proto_disk, serial, FIELD_STR),
        FIELD_AS(struct proto_disk, read_only, "readOnly", FIELD_BOOL),
        FIELD_OF(struct proto_disk, rate, "rate", FIELD_RECORD, &rate_record),
        FIELD_OF(struct proto_disk, backing, "backing", FIELD_LIST, &file_record),
};
static const struct record disk_record = RECORD(struct proto_disk, disk_fields);

static const struct field net_fields[] = {
        FIELD(struct proto_net, tap, FIELD_STR),
        FIELD(struct proto_net, fd, FIELD_OPT_I64),
        FIELD(struct proto_net, stream, FIELD_BOOL),
        FIELD(struct proto_net, spare, FIELD_BOOL),
        FIELD(struct proto_net, mac, FIELD_STR),
        FIELD(struct proto_net, mtu, FIELD_U32),
        FIELD_OF(struct proto_net, rate, "rate", FIELD_RECORD, &rate_record),
};
static const struct record net_record = RECORD(struct proto_net, net_fields);

static const struct field shared_file_fields[] = {
        FIELD_OF(struct proto_shared_file, file, "file", FIELD_RECORD, &file_record),
        FIELD_AS(struct proto_shared_file, read_only, "readOnly", FIELD_BOOL),
};
static const struct record shared_file_record =
        RECORD(struct proto_shared_file, shared_file_fields);

static const struct field share_fields[] = {
        FIELD_REQUIRED(struct proto_share, tag, FIELD_STR),
        FIELD_OF(struct proto_share, folder, "folder", FIELD_RECORD, &file_record),
        FIELD_OF(struct proto_share, files, "files", FIELD_LIST, &shared_file_record),
        FIELD_AS(struct proto_share, read_only, "readOnly", FIELD_BOOL),
        FIELD(struct proto_share, fixed, FIELD_BOOL),
        FIELD(struct proto_share, cache, FIELD_STR),
};
static const struct record share_record = RECORD(struct proto_share, share_fields);

static const struct field vsock_fields[] = {
        FIELD_REQUIRED(struct proto_vsock, cid, FIELD_U64),
        FIELD(struct proto_vsock, path, FIELD_STR),
        FIELD(struct proto_vsock, fd, FIELD_OPT_I64),
        FIELD_AS(struct proto_vsock, agent_fd, "agentFd", FIELD_OPT_I64),
};
static const struct record vsock_record = RECORD(struct proto_vsock, vsock_fields);

static const struct field cage_fields[] = {
        FIELD_AS(struct proto_cage, user_namespace, "userNamespace", FIELD_OPT_I64),
};
static const struct record cage_record = RECORD(struct proto_cage, cage_fields);

static const struct field console_fields[] = {
        FIELD(struct proto_console, kind, FIELD_STR),
        FIELD(struct proto_console, input, FIELD_OPT_I64),
        FIELD(struct proto_console, output, FIELD_OPT_I64),
};
static const struct record console_record = RECORD(struct proto_console, console_fields);

static const struct field machine_fields[] = {
        FIELD(struct proto_machine, name, FIELD_STR),
        FIELD(struct proto_machine, accel, FIELD_STR),
        FIELD(struct proto_machine, cpus, FIELD_U32),
        FIELD(struct proto_machine, memory, FIELD_U64),
        FIELD_OF(struct proto_machine, kernel, "kernel", FIELD_RECORD, &file_record),
        FIELD_OF(struct proto_machine, initrd, "initrd", FIELD_RECORD, &file_record),
        FIELD_OF(struct proto_machine, modules, "modules", FIELD_LIST, &file_record),
        FIELD(struct proto_machine, append, FIELD_STR),
        FIELD_OF(struct proto_machine, console, "console", FIELD_RECORD, &console_record),
        FIELD_OF(struct proto_machine, disks, "disks", FIELD_LIST, &disk_record),
        FIELD_OF(struct proto_machine, nets, "nets", FIELD_LIST, &net_record),
        FIELD_OF(struct proto_machine, shares, "shares", FIELD_LIST, &share_record),
        FIELD_OF(struct proto_machine, vsock, "vsock", FIELD_POINTER, &vsock_record),
        FIELD_AS(struct proto_machine, no_balloon, "noBalloon", FIELD_BOOL),
        FIELD_AS(struct proto_machine, no_rng, "noRng", FIELD_BOOL),
        FIELD_AS(struct proto_machine, debug_exit, "debugExit", FIELD_BOOL),
        FIELD_AS(struct proto_machine, report_fd, "reportFd", FIELD_OPT_I64),
        FIELD_OF(struct proto_machine, snapshot, "snapshot", FIELD_RECORD, &file_record),
        FIELD_AS(struct proto_machine, snapshot_verified, "snapshotVerified", FIELD_BOOL),
        FIELD(struct proto_machine, portable, FIELD_BOOL),
        FIELD_OF(struct proto_machine, cage, "cage", FIELD_POINTER, &cage_record),
        FIELD_AS(struct proto_machine, control_fd, "controlFd", FIELD_OPT_I64),
};
const struct record proto_machine_record = RECORD(struct proto_machine, machine_fields);

static const struct field end_fields[] = {
        FIELD_REQUIRED(struct proto_machine_end, reason, FIELD_STR),
        FIELD(struct proto_machine_end, status, FIELD_I32),
        FIELD(struct proto_machine_end, message, FIELD_STR),
};
const struct record proto_machine_end_record = RECORD(struct proto_machine_end, end_fields);

static void check(const struct proto_machine *machine, struct record_report *report)
{
    const struct record_place *top = RECORD_TOP("");

    if (machine->cpus > PROTO_CPUS_MAX)
        record_fault(report, RECORD_MEMBER(top, "cpus"), "%u; a machine has 1 to %d", machine->cpus,
                PROTO_CPUS_MAX);
    if (machine->vsock && (machine->vsock->cid < 3 || machine->vsock->cid >= UINT32_MAX))
        record_fault(report, RECORD_MEMBER(top, "vsock"), "context ids go from 3 to 4294967294");
    for (size_t i = 0; i < machine->shares.count; i++) {
        const char *tag = machine->shares.items[i].tag;
        if (!tag || !*tag || strlen(tag) > TAG_MAX)
            record_fault(report, RECORD_ITEM(RECORD_MEMBER(top, "shares"), i),
                    "a tag has 1 to %d bytes", TAG_MAX);
    }
}

int proto_machine_read(
        struct json_object *json, struct arena *arena, struct proto_machine *ret, struct error *err)
{
    struct record_report report = {.arena = arena};
    struct proto_machine machine = {0};

    record_read(&proto_machine_record, json, "", &machine, &report);
    if (report.faults.count == 0)
        check(&machine, &report);
    int r = record_error(&report, "the machine's description", err);
    if (r < 0)
        return r;
    if (machine.cpus == 0)
        machine.cpus = 1;
    if (machine.memory == 0)
        machine.memory = (uint64_t)256 << 20;
    *ret = machine;
    return 0;
}

/* ---- descriptors ---- */

struct visitor {
    void (*visit)(struct opt_i64 *fd, void *data);
    void *data;
};

static void visit_fd(const struct visitor *visitor, struct opt_i64 *fd)
{
    if (fd->set)
        visitor->visit(fd, visitor->data);
}

static void visit_disk(const struct visitor *visitor, struct proto_disk *disk)
{
    visit_fd(visitor, &disk->file.fd);
    for (size_t i = 0; i < disk->backing.count; i++)
        visit_fd(visitor, &disk->backing.items[i].fd);
}

static void visit_share(const struct visitor *visitor, struct proto_share *share)
{
    visit_fd(visitor, &share->folder.fd);
    for (size_t i = 0; i < share->files.count; i++)
        visit_fd(visitor, &share->files.items[i].file.fd);
}

static void visit_devices(const struct visitor *visitor, struct proto_machine *machine)
{
    for (size_t i = 0; i < machine->disks.count; i++)
        visit_disk(visitor, &machine->disks.items[i]);
    for (size_t i = 0; i < machine->nets.count; i++)
        visit_fd(visitor, &machine->nets.items[i].fd);
    for (size_t i = 0; i < machine->shares.count; i++)
        visit_share(visitor, &machine->shares.items[i]);
    if (machine->vsock) {
        visit_fd(visitor, &machine->vsock->fd);
        visit_fd(visitor, &machine->vsock->agent_fd);
    }
}

void proto_machine_visit_fds(
        struct proto_machine *machine, void (*visit)(struct opt_i64 *fd, void *data), void *data)
{
    struct visitor visitor = {visit, data};

    visit_fd(&visitor, &machine->kernel.fd);
    visit_fd(&visitor, &machine->initrd.fd);
    for (size_t i = 0; i < machine->modules.count; i++)
        visit_fd(&visitor, &machine->modules.items[i].fd);
    visit_fd(&visitor, &machine->console.input);
    visit_fd(&visitor, &machine->console.output);
    visit_devices(&visitor, machine);
    visit_fd(&visitor, &machine->snapshot.fd);
    if (machine->cage)
        visit_fd(&visitor, &machine->cage->user_namespace);
    visit_fd(&visitor, &machine->report_fd);
    visit_fd(&visitor, &machine->control_fd);
}
