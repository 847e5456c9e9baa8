#include "vm/slots.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"

#include "vm/disk/disk.h"
#include "vm/virtio/balloon.h"
#include "vm/virtio/blk.h"
#include "vm/virtio/console.h"
#include "vm/virtio/fs.h"
#include "vm/virtio/net.h"
#include "vm/virtio/rng.h"
#include "vm/virtio/vsock.h"

_Static_assert(SLOTS_MAX == PROTO_DEVICES_MAX, "each device has a pin");

/* The next free slot, with a thread of its own or on the machine's loop. */
static int take_slot(struct slots *slots, const struct slots_config *config, bool own_thread,
        struct slot **ret_slot, struct virtio_place *ret_place, struct error *err)
{
    if (slots->count >= SLOTS_MAX)
        return error_set(
                err, ENOSPC, "more than %d devices; a machine has no room for them", SLOTS_MAX);
    struct slot *slot = &slots->list[slots->count];
    if (own_thread) {
        int r = worker_init(&slot->worker, err);
        if (r < 0)
            return r;
        slot->worker.kind = THREAD_DISK;
        slot->worker.confine = config->confine;
        slot->has_worker = true;
    }
    *ret_slot = slot;
    *ret_place = (struct virtio_place){
            .memory = config->memory,
            .loop = own_thread ? slot->worker.loop : config->loop,
            .irq = ioapic_line(config->ioapic, SLOTS_FIRST_PIN + slots->count),
    };
    return 0;
}

static int put_in_slot(struct slots *slots, const struct slots_config *config,
        struct virtio_device *device, void *owner, void (*free)(void *owner), struct error *err)
{
    unsigned index = slots->count;
    struct slot *slot = &slots->list[index];

    slot->device = device;
    slot->owner = owner;
    slot->free = free;
    slots->places[index] = (struct acpi_device){
            SLOTS_BASE + index * SLOTS_STRIDE, VIRTIO_WINDOW, SLOTS_FIRST_PIN + index};
    slots->count++;
    return bus_add(
            config->mmio, slots->places[index].base, SLOTS_STRIDE, &virtio_bus_ops, device, err);
}

static void free_blk(void *owner)
{
    blk_free(owner);
}

static void free_console(void *owner)
{
    console_free(owner);
}

static void free_net(void *owner)
{
    net_free(owner);
}

static void free_rng(void *owner)
{
    rng_free(owner);
}

static void free_balloon(void *owner)
{
    balloon_free(owner);
}

static void free_fs(void *owner)
{
    fs_free(owner);
}

static void free_vsock(void *owner)
{
    vsock_free(owner);
}

static struct limit_rate rate_of(const struct proto_rate *rate)
{
    return (struct limit_rate){rate->bytes_per_second, rate->operations_per_second};
}

static int open_disk(const struct proto_disk *wanted, struct disk **ret, struct error *err)
{
    struct disk_file backing[DISK_BACKING_MAX];
    struct disk_config config = {
            .file = {wanted->file.fd.set ? (int)wanted->file.fd.value : -1,
                    wanted->file.path ? wanted->file.path : "disk"},
            .format = wanted->format,
            .read_only = wanted->read_only,
            .backing = backing,
            .backing_count = wanted->backing.count,
    };

    if (wanted->backing.count > DISK_BACKING_MAX)
        return error_set(
                err, ELOOP, "%s: more than %d backing files", config.file.path, DISK_BACKING_MAX);
    for (size_t i = 0; i < wanted->backing.count; i++) {
        const struct proto_file *file = &wanted->backing.items[i];
        backing[i] = (struct disk_file){
                file->fd.set ? (int)file->fd.value : -1, file->path ? file->path : "backing file"};
    }
    return disk_open(&config, ret, err);
}

static int build_disk(struct slots *slots, const struct slots_config *config,
        const struct proto_disk *wanted, unsigned number, struct error *err)
{
    struct slot *slot;
    struct virtio_place place;
    struct blk *blk;
    char serial[16];
    struct blk_config blk_config = {
            .serial = wanted->serial, .rate = rate_of(&wanted->rate), .with_ring = true};
    int r = take_slot(slots, config, true, &slot, &place, err);

    if (r == 0)
        r = open_disk(wanted, &blk_config.disk, err);
    if (r < 0)
        return r;
    if (!blk_config.serial) {
        snprintf(serial, sizeof(serial), "viv%u", number);
        blk_config.serial = serial;
    }
    r = blk_new(&place, &blk_config, &blk, err);
    if (r < 0)
        return r;
    slot->worker.end = blk_end;
    slot->worker.data = blk;
    return put_in_slot(slots, config, blk_device(blk), blk, free_blk, err);
}

static int build_disks(struct slots *slots, const struct slots_config *config, struct error *err)
{
    for (unsigned i = 0; i < config->description->disks.count; i++) {
        int r = build_disk(slots, config, &config->description->disks.items[i], i, err);
        if (r < 0)
            return r;
    }
    return 0;
}

/* An address of our own making ("locally administered"), the same at each start of the machine. */
static void make_mac(const char *name, unsigned number, uint8_t mac[6])
{
    uint64_t hash = 0xcbf29ce484222325ULL + number;

    for (const char *at = name ? name : ""; *at; at++)
        hash = (hash ^ (uint8_t)*at) * 0x100000001b3ULL; /* FNV-1a */
    mac[0] = 0x02;
    for (int i = 1; i < 6; i++)
        mac[i] = (uint8_t)(hash >> (8 * i));
}

static int open_wire(const struct proto_net *wanted, struct wire *ret, struct error *err)
{
    *ret = WIRE_NONE;
    if (wanted->spare)
        return 0;
    if (wanted->fd.set)
        return wire_open_fd(ret, (int)wanted->fd.value, wanted->stream, err);
    if (!wanted->tap)
        return error_set(err, EINVAL, "a network device needs a tap device or a descriptor");
    return wire_open_tap(ret, wanted->tap, err);
}

static int build_net(
        struct slots *slots, const struct slots_config *config, unsigned number, struct error *err)
{
    const struct proto_net *wanted = &config->description->nets.items[number];
    struct net_config net_config = {
            .name = wanted->spare || wanted->stream ? NULL : wanted->tap,
            .mtu = (uint16_t)(wanted->mtu < UINT16_MAX ? wanted->mtu : UINT16_MAX),
            .rate = rate_of(&wanted->rate),
    };
    struct slot *slot;
    struct virtio_place place;
    struct net *net = NULL;

    if (!wanted->mac)
        make_mac(config->description->name, number, net_config.mac);
    else if (!net_parse_mac(wanted->mac, net_config.mac))
        return error_set(err, EINVAL, "\"%s\" is no MAC address of one host (02:00:00:00:00:01)",
                wanted->mac);
    int r = take_slot(slots, config, false, &slot, &place, err);
    if (r == 0)
        r = open_wire(wanted, &net_config.wire, err);
    if (r == 0)
        r = net_new(&place, &net_config, &net, err);
    return r < 0 ? r : put_in_slot(slots, config, net_device(net), net, free_net, err);
}

static int build_nets(struct slots *slots, const struct slots_config *config, struct error *err)
{
    for (unsigned i = 0; i < config->description->nets.count; i++) {
        int r = build_net(slots, config, i, err);
        if (r < 0)
            return r;
    }
    return 0;
}

static int build_console(struct slots *slots, const struct slots_config *config, struct error *err)
{
    const struct proto_console *wanted = &config->description->console;
    struct console_config console_config = {
            .input = wanted->input.set ? (int)wanted->input.value : -1,
            .output = wanted->output.set ? (int)wanted->output.value : -1,
    };
    struct slot *slot;
    struct virtio_place place;
    struct console *console;

    if (!str_equal(wanted->kind, "virtio"))
        return 0;
    int r = take_slot(slots, config, false, &slot, &place, err);
    if (r == 0)
        r = console_new(&place, &console_config, &console, err);
    return r < 0 ? r
                 : put_in_slot(slots, config, console_device(console), console, free_console, err);
}

static int build_rng(struct slots *slots, const struct slots_config *config, struct error *err)
{
    struct slot *slot;
    struct virtio_place place;
    struct rng *rng;

    if (config->description->no_rng)
        return 0;
    int r = take_slot(slots, config, false, &slot, &place, err);
    if (r == 0)
        r = rng_new(&place, &rng, err);
    return r < 0 ? r : put_in_slot(slots, config, rng_device(rng), rng, free_rng, err);
}

static int build_balloon(struct slots *slots, const struct slots_config *config, struct error *err)
{
    struct slot *slot;
    struct virtio_place place;
    struct balloon *balloon;

    if (config->description->no_balloon)
        return 0;
    int r = take_slot(slots, config, false, &slot, &place, err);
    if (r == 0)
        r = balloon_new(&place, &balloon, err);
    if (r < 0)
        return r;
    slots->balloon = balloon;
    return put_in_slot(slots, config, balloon_device(balloon), balloon, free_balloon, err);
}

/* The socket that host programs connect to. A name that is left over from a machine that was killed
 * is taken over; one that somebody listens at is not. */
static int listen_at(const char *path, int *ret, struct error *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t length = strlen(path);
    _cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0)
        return error_sys(err, errno, "socket");
    if (length >= sizeof(address.sun_path) - sizeof("_4294967295"))
        return error_set(err, ENAMETOOLONG, "%s: too long for the path of a Unix socket", path);
    memcpy(address.sun_path, path, length);
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
        return error_set(err, EADDRINUSE, "%s: another machine listens there", path);
    if (errno == ECONNREFUSED)
        unlink(path);
    if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, 64) < 0)
        return error_sys(err, errno, "listen at %s", path);
    *ret = take_fd(&fd);
    return 0;
}

static int build_vsock(struct slots *slots, const struct slots_config *config, struct error *err)
{
    const struct proto_vsock *wanted = config->description->vsock;
    struct slot *slot;
    struct virtio_place place;
    struct vsock *vsock;

    if (!wanted)
        return 0;
    struct vsock_config vsock_config = {
            .cid = wanted->cid,
            .path = wanted->path,
            .listen_fd = wanted->fd.set ? (int)wanted->fd.value : -1,
            .agent_fd = wanted->agent_fd.set ? (int)wanted->agent_fd.value : -1,
    };
    int r = take_slot(slots, config, false, &slot, &place, err);
    if (r == 0 && wanted->path && vsock_config.listen_fd < 0)
        r = listen_at(wanted->path, &vsock_config.listen_fd, err);
    if (r == 0)
        r = vsock_new(&place, &vsock_config, &vsock, err);
    return r < 0 ? r : put_in_slot(slots, config, vsock_device(vsock), vsock, free_vsock, err);
}

static int open_folder(const struct proto_share *wanted, int *ret, struct error *err)
{
    const struct proto_file *folder = &wanted->folder;

    if (folder->fd.set) {
        *ret = (int)folder->fd.value;
        return 0;
    }
    if (!folder->path)
        return error_set(err, EINVAL, "share %s: no folder is given", wanted->tag);
    *ret = open(folder->path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    return *ret < 0 ? error_sys(err, errno, "open the shared folder %s", folder->path) : 0;
}

static int build_share(struct slots *slots, const struct slots_config *config,
        const struct proto_share *wanted, struct error *err)
{
    struct share_config share_config = {.read_only = wanted->read_only, .fixed = wanted->fixed};
    struct slot *slot;
    struct virtio_place place;
    struct share *share;
    struct fs *fs;
    int r = share_parse_cache(wanted->cache, &share_config.cache, err);

    if (r == 0)
        r = take_slot(slots, config, true, &slot, &place, err);
    if (r == 0)
        r = open_folder(wanted, &share_config.folder, err);
    if (r == 0)
        r = share_new(&share_config, &share, err);
    if (r == 0)
        r = fs_new(&place, wanted->tag, share, &fs, err);
    if (r < 0)
        return r;
    slot->worker.kind = THREAD_SHARE;
    slot->worker.begin = fs_begin;
    slot->worker.data = fs;
    return put_in_slot(slots, config, fs_device(fs), fs, free_fs, err);
}

static int build_shares(struct slots *slots, const struct slots_config *config, struct error *err)
{
    for (unsigned i = 0; i < config->description->shares.count; i++) {
        int r = build_share(slots, config, &config->description->shares.items[i], err);
        if (r < 0)
            return r;
    }
    return 0;
}

/* The order is the order in which the guest finds them; a snapshot counts on it. */
int slots_build(struct slots *slots, const struct slots_config *config, struct error *err)
{
    int r = build_disks(slots, config, err);

    if (r == 0)
        r = build_nets(slots, config, err);
    if (r == 0)
        r = build_shares(slots, config, err);
    if (r == 0)
        r = build_console(slots, config, err);
    if (r == 0)
        r = build_vsock(slots, config, err);
    if (r == 0)
        r = build_rng(slots, config, err);
    if (r == 0)
        r = build_balloon(slots, config, err);
    return r;
}

int slots_start(struct slots *slots, struct error *err)
{
    int r = 0;

    for (unsigned i = 0; r == 0 && i < slots->count; i++)
        if (slots->list[i].has_worker)
            r = worker_start(&slots->list[i].worker, err);
    return r;
}

void slots_stop(struct slots *slots)
{
    for (unsigned i = 0; i < slots->count; i++)
        if (slots->list[i].has_worker)
            worker_stop(&slots->list[i].worker);
}

void slots_free(struct slots *slots)
{
    slots_stop(slots);
    /* one more than the count: a device may have failed after its thread was prepared */
    for (unsigned i = 0; i < SLOTS_MAX; i++) {
        struct slot *slot = &slots->list[i];
        if (slot->free)
            slot->free(slot->owner);
        if (slot->has_worker)
            worker_free(&slot->worker);
        *slot = (struct slot){0};
    }
    slots->count = 0;
    slots->balloon = NULL;
}

int slots_hold(struct slots *slots, struct error *err)
{
    for (unsigned i = 0; i < slots->count; i++) {
        int r = virtio_hold(slots->list[i].device, err);
        if (r == 0)
            continue;
        while (i-- > 0)
            virtio_release(slots->list[i].device);
        return r;
    }
    return 0;
}

void slots_release(struct slots *slots)
{
    for (unsigned i = 0; i < slots->count; i++)
        virtio_release(slots->list[i].device);
}

void slots_save(struct slots *slots, struct buf *out)
{
    for (unsigned i = 0; i < slots->count; i++)
        virtio_save(slots->list[i].device, i, out);
}

int slots_restore(struct slots *slots, const struct state *state, struct error *err)
{
    int r = 0;

    for (unsigned i = 0; r == 0 && i < slots->count; i++)
        r = virtio_restore(slots->list[i].device, i, state, err);
    return r;
}

static void add_disk_stats(struct blk *blk, struct arena *arena, struct proto_stats *stats)
{
    struct blk_stats counts = blk_get_stats(blk);
    struct proto_disk_stats *added = RECORD_APPEND(arena, &stats->disks);

    *added = (struct proto_disk_stats){
            .io = counts.has_ring ? "io_uring" : "preadv",
            .requests = counts.requests,
            .deepest = counts.deepest,
    };
    if (counts.ring_error)
        added->because = arena_printf(arena, "io_uring_setup: %s", strerror(counts.ring_error));
}

void slots_get_disks(const struct slots *slots, struct arena *arena, struct proto_stats *stats)
{
    for (unsigned i = 0; i < slots->count; i++)
        if (slots->list[i].device->ops->id == VIRTIO_BLOCK)
            add_disk_stats(slots->list[i].owner, arena, stats);
}

/* The next network device from `*at` on, or NULL. */
static struct net *next_net(const struct slots *slots, unsigned *at)
{
    while (*at < slots->count) {
        const struct slot *slot = &slots->list[(*at)++];
        if (slot->device->ops->id == VIRTIO_NET)
            return slot->owner;
    }
    return NULL;
}

static struct net *find_net(const struct slots *slots, const char *tap)
{
    struct net *net;

    for (unsigned at = 0; (net = next_net(slots, &at));)
        if (tap ? str_equal(net_tap(net), tap) : net_is_spare(net))
            return net;
    return NULL;
}

int slots_connect_net(struct slots *slots, int fd, const char *tap, struct arena *arena,
        const char **ret_device, struct error *err)
{
    struct net *net = find_net(slots, NULL);
    _cleanup_close_ int taken = fd;

    if (str_empty(tap) || strlen(tap) >= NET_TAP_SIZE)
        return error_set(err, EINVAL, "a tap's name has 1 to %d bytes", NET_TAP_SIZE - 1);
    if (find_net(slots, tap))
        return error_set(err, EEXIST, "the tap %s is behind a network device already", tap);
    if (!net)
        return error_set(err, ENOSPC, "all network devices of the machine are in use");
    int r = net_connect(net, take_fd(&taken), tap, err);
    if (r == 0)
        *ret_device = net_device_text(net, arena);
    return r;
}

int slots_disconnect_net(struct slots *slots, const char *tap, struct arena *arena,
        const char **ret_device, struct error *err)
{
    struct net *net = str_empty(tap) ? NULL : find_net(slots, tap);

    if (!net)
        return error_set(err, ENODEV, "the tap %s is behind no network device",
                tap ? tap : "without a name");
    net_disconnect(net);
    *ret_device = net_device_text(net, arena);
    return 0;
}

void slots_get_nets(
        const struct slots *slots, struct arena *arena, struct proto_control_reply *reply)
{
    struct net *net;

    for (unsigned at = 0; (net = next_net(slots, &at));) {
        struct proto_net_device *added = RECORD_APPEND(arena, &reply->nets);
        *added = (struct proto_net_device){.device = net_device_text(net, arena)};
        if (net_tap(net))
            added->tap = arena_strdup(arena, net_tap(net));
    }
}

void slots_get_given(const struct slots *slots, uint64_t *ret_inflated, uint64_t *ret_reported)
{
    *ret_inflated = *ret_reported = 0;
    if (slots->balloon)
        balloon_get_given(slots->balloon, ret_inflated, ret_reported);
}

bool slots_set_balloon(struct slots *slots, uint64_t bytes)
{
    if (slots->balloon)
        balloon_set_target(slots->balloon, bytes);
    return slots->balloon;
}

void slots_describe(const struct slots *slots, struct acpi_config *acpi)
{
    acpi->devices = slots->places;
    acpi->device_count = slots->count;
}
