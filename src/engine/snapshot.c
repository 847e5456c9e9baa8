#include "engine/snapshot.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/recordfile.h"
#include "engine/connect.h"
#include "engine/events.h"
#include "engine/network.h"
#include "engine/restart.h"
#include "engine/vm_call.h"
#include "proto/control.h"
#include "proto/snapshot.h"

#define IMAGE "snapshot"
#define PART "snapshot.part" /* one that is being written; locked */
#define ABOUT "snapshot.json"

static const struct field address_fields[] = {
        FIELD_REQUIRED(struct net_join, network, FIELD_STR),
        FIELD(struct net_join, ip, FIELD_STR),
        FIELD(struct net_join, ip6, FIELD_STR),
        FIELD(struct net_join, mac, FIELD_STR),
        FIELD(struct net_join, interface, FIELD_STR),
};
static const struct record address_record = RECORD(struct net_join, address_fields);

static const struct field device_fields[] = {
        FIELD_REQUIRED(struct vm_net_device, device, FIELD_STR),
        FIELD(struct vm_net_device, network, FIELD_STR),
};
static const struct record device_record = RECORD(struct vm_net_device, device_fields);

static const struct field snapshot_fields[] = {
        FIELD_REQUIRED(struct sandbox_snapshot, label, FIELD_STR),
        FIELD_REQUIRED(struct sandbox_snapshot, taken, FIELD_STR),
        FIELD_REQUIRED(struct sandbox_snapshot, life, FIELD_STR),
        FIELD(struct sandbox_snapshot, root_checksum, FIELD_U64),
        FIELD_OF(struct sandbox_snapshot, passed, "passed", FIELD_RECORD, &agent_resume_record),
        FIELD_OF(struct sandbox_snapshot, addresses, "addresses", FIELD_LIST, &address_record),
        FIELD_OF(struct sandbox_snapshot, devices, "devices", FIELD_LIST, &device_record),
};
static const struct record snapshot_record = RECORD(struct sandbox_snapshot, snapshot_fields);

int sandbox_snapshot_load(
        int record_fd, struct arena *arena, struct sandbox_snapshot *ret, struct error *err)
{
    return recordfile_load(record_fd, ABOUT, &snapshot_record, arena, ret, err);
}

uint64_t sandbox_snapshot_size(int record_fd)
{
    struct stat status;
    int r = fstatat(record_fd, IMAGE, &status, AT_SYMLINK_NOFOLLOW);

    return r < 0 ? 0 : (uint64_t)status.st_blocks * 512;
}

/* ---- taking ---------------------------------------------------------------------------------- */

static int check_kind(const struct sandbox *sandbox, struct error *err)
{
    const char *name = sandbox->meta.name;

    if (!str_equal(sandbox->meta.isolation, "vm"))
        return error_set(err, EOPNOTSUPP,
                "sandbox \"%s\" is a container: snapshots are of machines (viv run --isolation "
                "vm); "
                "viv commit keeps a container's files",
                name);
    if (!sandbox->kept)
        return error_set(err, EOPNOTSUPP,
                "sandbox \"%s\" is removed when it ends (--rm), and its snapshot would be with it: "
                "run it without --rm",
                name);
    return 0;
}

int sandbox_check_restorable(const struct sandbox *sandbox, struct error *err)
{
    const char *name = sandbox->meta.name;
    int r = check_kind(sandbox, err);

    if (r == 0 && (sandbox_has_run(sandbox) || sandbox->life.restarting))
        r = error_set(err, EBUSY, "sandbox \"%s\" is running: viv stop or viv kill ends it", name);
    return r;
}

static int check_running(const struct sandbox *sandbox, struct error *err)
{
    const char *name = sandbox->meta.name;
    int r = check_kind(sandbox, err);

    if (r < 0)
        return r;
    if (!sandbox_has_run(sandbox) || sandbox->status == SPEC_STOPPED)
        return error_set(err, ESRCH, "sandbox \"%s\" is not running", name);
    if (sandbox->status == SPEC_PAUSED)
        return error_set(err, EBUSY,
                "sandbox \"%s\" is paused, and viv-vmm with it; viv unpause %s first", name, name);
    return 0;
}

/* The lock tells others that it is being written; it goes with the descriptor. */
static int open_part(int record_fd, int *ret, struct error *err)
{
    _cleanup_close_ int fd =
            openat(record_fd, PART, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

    if (fd < 0)
        return error_sys(err, errno, "make " PART);
    if (flock(fd, LOCK_EX | LOCK_NB) < 0)
        return error_set(err, EBUSY, "another snapshot of it is being written");
    *ret = take_fd(&fd);
    return 0;
}

/* What viv-vmm says is behind its devices, by the networks. */
static void note_devices(struct engine *engine, const struct sandbox *sandbox,
        const struct proto_control_reply *reply, struct sandbox_snapshot *about)
{
    struct arena *arena = engine->arena;

    for (size_t i = 0; i < reply->nets.count; i++) {
        const struct proto_net_device *from = &reply->nets.items[i];
        struct vm_net_device *to = RECORD_APPEND(arena, &about->devices);
        *to = (struct vm_net_device){.device = from->device};
        for (size_t j = 0; from->tap && j < about->addresses.count; j++) {
            const char *network = about->addresses.items[j].network;
            if (str_equal(from->tap, sandbox_device_name(arena, sandbox->meta.id, network)))
                to->network = network;
        }
    }
}

static int describe(struct engine *engine, const struct sandbox *sandbox,
        struct sandbox_snapshot *ret, struct error *err)
{
    struct arena *arena = engine->arena;
    const char *taken = container_now_text(arena);
    struct net_leases leases = {0};
    int r = sandbox_leases(engine, sandbox->meta.id, &leases, err);

    *ret = (struct sandbox_snapshot){
            .label = arena_printf(arena, "%.12s %s", sandbox->meta.id, taken),
            .taken = taken,
            .life = sandbox->life.started ? sandbox->life.started : "",
            .root_checksum = sandbox->life.root_checksum,
    };
    for (size_t i = 0; r == 0 && i < leases.count; i++) {
        const struct net_lease *lease = &leases.items[i];
        struct net_join *to = RECORD_APPEND(arena, &ret->addresses);
        *to = (struct net_join){.network = lease->network,
                .ip = str_empty(lease->ipv4) ? NULL : lease->ipv4,
                .ip6 = str_empty(lease->ipv6) ? NULL : lease->ipv6,
                .mac = lease->mac,
                .interface = lease->interface};
    }
    return r;
}

static int take(struct engine *engine, const struct sandbox *sandbox, bool stop, struct error *err)
{
    struct sandbox_snapshot about;
    struct proto_control_reply reply = {0};
    _cleanup_close_ int control = -1, part = -1;
    int r = describe(engine, sandbox, &about, err);

    if (r == 0)
        r = vm_connect_control(&sandbox->container, &control, err);
    if (r == 0)
        r = open_part(sandbox->record_fd, &part, err);
    if (r < 0)
        return r;
    struct proto_control request = {
            .command = "snapshot", .path = IMAGE, .label = about.label, .stop = stop};
    r = proto_control_ask(control, &request, part, engine->arena, &reply, err);
    if (r == 0 && renameat(sandbox->record_fd, PART, sandbox->record_fd, IMAGE) < 0)
        r = error_sys(err, errno, "rename " PART);
    if (r < 0) {
        (void)unlinkat(sandbox->record_fd, PART, 0);
        return r;
    }
    note_devices(engine, sandbox, &reply, &about);
    r = recordfile_save(sandbox->record_fd, ABOUT, &snapshot_record, &about, RECORDFILE_PRIVATE);
    return r < 0 ? error_sys(err, -r, "write " ABOUT) : 0;
}

int engine_snapshot(struct engine *engine, const char *name, bool stop, struct error *err)
{
    _cleanup_sandbox_ struct sandbox sandbox = {.record_fd = -1};
    int status;
    int r = engine_find(engine, name, &sandbox, err);

    if (r == 0)
        r = check_running(&sandbox, err);
    if (r < 0)
        return r;
    if (stop)
        restart_stop(sandbox.record_fd);
    r = take(engine, &sandbox, stop, err);
    if (r < 0) {
        if (stop)
            restart_forget(sandbox.record_fd);
        return error_prefix(err, "snapshot of sandbox \"%s\"", sandbox.meta.name);
    }
    event_of(engine, &sandbox.meta, "snapshot", NULL, NULL);
    if (!stop)
        return 0;
    const char *id = sandbox.meta.id;
    sandbox_close(&sandbox);
    r = engine_wait(engine, id, WAIT_NOT_RUNNING, &status, err);
    return r == -ECHILD ? 0 : r;
}

/* ---- going on -------------------------------------------------------------------------------- */

void sandbox_snapshot_settle(int record_fd)
{
    _cleanup_arena_ struct arena arena = {0};
    struct sandbox_snapshot about;
    struct sandbox_life life;

    if (sandbox_snapshot_load(record_fd, &arena, &about, NULL) < 0 || about.passed.known ||
            sandbox_life_load(record_fd, &arena, &life, NULL) < 0 || !life.ended ||
            !str_equal(life.started, about.life))
        return;
    about.passed = (struct agent_resume){true, life.passed_output, life.passed_error};
    (void)recordfile_save(record_fd, ABOUT, &snapshot_record, &about, RECORDFILE_PRIVATE);
}

/* What is asked for by name where the sandbox says nothing of its own. */
static void ask_for_addresses(const struct sandbox_snapshot *about, struct net_request *request)
{
    for (size_t i = 0; i < request->joins.count; i++)
        for (size_t j = 0; j < about->addresses.count; j++) {
            struct net_join *join = &request->joins.items[i];
            const struct net_join *had = &about->addresses.items[j];
            if (!str_equal(join->network, had->network))
                continue;
            join->ip = had->ip;
            join->ip6 = had->ip6;
            join->mac = had->mac;
            join->interface = had->interface ? had->interface : join->interface;
        }
}

int sandbox_snapshot_open(struct engine *engine, int record_fd, struct engine_run *run,
        struct vm_going_on *ret, struct error *err)
{
    _cleanup_arena_ struct arena arena = {0};
    const char *name =
            arena_printf(engine->arena, "the snapshot of sandbox \"%s\"", run->meta.name);
    struct sandbox_snapshot about;
    struct proto_snapshot image;
    _cleanup_close_ int fd = openat(record_fd, IMAGE, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

    if (fd < 0)
        return errno == ENOENT
                       ? error_set(err, ENOENT,
                                 "sandbox \"%s\" has no snapshot; viv snapshot %s takes one "
                                 "while it runs",
                                 run->meta.name, run->meta.name)
                       : error_sys(err, errno, "open %s", name);
    int r = sandbox_snapshot_load(record_fd, engine->arena, &about, err);
    if (r == 0)
        r = proto_snapshot_read(fd, name, &arena, &image, err);
    if (r == 0 && !str_equal(image.header.label, about.label))
        r = error_set(err, EBADMSG,
                "%s and what is known of it do not belong together: it is another's, or its "
                "writing "
                "was cut short; take a new one",
                name);
    if (r < 0)
        return r;
    ask_for_addresses(&about, &run->meta.network);
    *ret = (struct vm_going_on){.snapshot = take_fd(&fd),
            .name = name,
            .root_checksum = about.root_checksum,
            .passed = about.passed};
    ret->devices.items = about.devices.items;
    ret->devices.count = about.devices.count;
    return 0;
}
