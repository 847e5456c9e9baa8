#include "vm/virtio/device.h"

#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/cleanup.h"

/* Registers of the MMIO transport, §4.2.2 */
enum {
    REG_MAGIC = 0x000,
    REG_VERSION = 0x004,
    REG_DEVICE_ID = 0x008,
    REG_VENDOR_ID = 0x00c,
    REG_DEVICE_FEATURES = 0x010,
    REG_DEVICE_FEATURES_SEL = 0x014,
    REG_DRIVER_FEATURES = 0x020,
    REG_DRIVER_FEATURES_SEL = 0x024,
    REG_QUEUE_SEL = 0x030,
    REG_QUEUE_SIZE_MAX = 0x034,
    REG_QUEUE_SIZE = 0x038,
    REG_QUEUE_READY = 0x044,
    REG_QUEUE_NOTIFY = 0x050,
    REG_INTERRUPT_STATUS = 0x060,
    REG_INTERRUPT_ACK = 0x064,
    REG_STATUS = 0x070,
    REG_QUEUE_DESC = 0x080,
    REG_QUEUE_DRIVER = 0x090,
    REG_QUEUE_DEVICE = 0x0a0,
    REG_SHM_LENGTH = 0x0b0, /* and the upper half, then the base */
    REG_SHM_BASE_HIGH = 0x0bc,
    REG_CONFIG_GENERATION = 0x0fc,
    REG_CONFIG = 0x100,
};

#define MAGIC 0x74726976U  /* "virt" */
#define VENDOR 0x56495641U /* "VIVA" */

#define STATUS_FEATURES_OK 8U
#define STATUS_DRIVER_OK 4U
#define STATUS_NEEDS_RESET 0x40U
#define INTERRUPT_QUEUE 1U
#define INTERRUPT_CONFIG 2U

static void on_notified(struct loop *loop, int fd, uint32_t events, void *data)
{
    struct virtio_device *device = data;
    eventfd_t count;

    (void)loop;
    (void)events;
    (void)eventfd_read(fd, &count);
    unsigned notified = atomic_exchange(&device->notified, 0);
    pthread_mutex_lock(&device->lock);
    if (notified & VIRTIO_ACTIVATE && virtio_is_live(device) && device->ops->activate)
        device->ops->activate(device);
    for (unsigned i = 0; i < device->ops->queues; i++)
        if ((notified >> i & 1) && virtio_is_live(device))
            device->ops->notify(device, i);
    pthread_mutex_unlock(&device->lock);
}

int virtio_init(struct virtio_device *device, const struct virtio_ops *ops, void *owner,
        const struct virtio_place *place, uint64_t features, void *config, size_t config_size,
        struct error *err)
{
    *device = (struct virtio_device){
            .ops = ops,
            .owner = owner,
            .memory = place->memory,
            .loop = place->loop,
            .irq = place->irq,
            .offered = features | VIRTIO_F_VERSION_1 | VIRTIO_F_INDIRECT_DESC | VIRTIO_F_EVENT_IDX,
            .config = config,
            .config_size = config_size,
            .notify_fd = -1,
    };
    pthread_mutex_init(&device->lock, NULL);
    for (unsigned i = 0; i < ops->queues; i++)
        virtq_init(&device->queues[i], place->memory, ops->queue_size);
    device->notify_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (device->notify_fd < 0)
        return error_sys(err, errno, "eventfd for %s", ops->name);
    int r = loop_add_fd(
            device->loop, device->notify_fd, EPOLLIN, on_notified, device, &device->notify_source);
    return r < 0 ? error_sys(err, -r, "epoll for %s", ops->name) : 0;
}

void virtio_fini(struct virtio_device *device)
{
    loop_remove(device->notify_source);
    cleanup_close(&device->notify_fd);
    pthread_mutex_destroy(&device->lock);
}

bool virtio_has(const struct virtio_device *device, uint64_t feature)
{
    return device->features & feature;
}

bool virtio_is_live(const struct virtio_device *device)
{
    return device->state.status & STATUS_DRIVER_OK && !(device->state.status & STATUS_NEEDS_RESET);
}

static void interrupt(struct virtio_device *device, uint32_t cause)
{
    __atomic_fetch_or(&device->state.interrupt, cause, __ATOMIC_SEQ_CST);
    irq_pulse(&device->irq);
}

void virtio_signal(struct virtio_device *device, struct virtq *queue)
{
    if (virtq_wants_interrupt(queue))
        interrupt(device, INTERRUPT_QUEUE);
}

void virtio_config_changed(struct virtio_device *device)
{
    device->state.generation++;
    if (device->state.status & STATUS_DRIVER_OK)
        interrupt(device, INTERRUPT_CONFIG);
}

void virtio_break(struct virtio_device *device)
{
    device->state.status |= STATUS_NEEDS_RESET;
    if (device->state.status & STATUS_DRIVER_OK)
        interrupt(device, INTERRUPT_CONFIG);
}

void virtio_serve_queue(struct virtio_device *device, unsigned queue_index,
        struct virtq_chain *chain,
        uint64_t (*serve)(struct virtio_device *device, struct virtq_chain *chain))
{
    struct virtq *queue = &device->queues[queue_index];
    int r;

    do {
        virtq_want_notify(queue, false);
        while ((r = virtq_next(queue, chain)) > 0)
            if (!virtq_push(queue, chain, serve(device, chain)))
                r = -EFAULT;
        virtq_want_notify(queue, true);
    } while (r == 0 && virtq_has_next(queue));
    if (r < 0)
        virtio_break(device);
    else
        virtio_signal(device, queue);
}

/* ---- registers ---- */

static struct virtq *selected(struct virtio_device *device)
{
    uint32_t index = device->state.queue_select;

    return index < device->ops->queues ? &device->queues[index] : NULL;
}

static void reset(struct virtio_device *device)
{
    if (device->ops->reset)
        device->ops->reset(device);
    for (unsigned i = 0; i < device->ops->queues; i++)
        virtq_reset(&device->queues[i]);
    device->state = (struct virtio_state){.generation = device->state.generation};
    device->features = 0;
    atomic_store(&device->notified, 0);
}

static void tell_loop(struct virtio_device *device, unsigned bits)
{
    atomic_fetch_or(&device->notified, bits);
    (void)eventfd_write(device->notify_fd, 1);
}

void virtio_again(struct virtio_device *device, unsigned queue)
{
    tell_loop(device, 1U << queue);
}

static void write_status(struct virtio_device *device, uint32_t status)
{
    uint32_t old = device->state.status;

    if (status == 0) {
        reset(device);
        return;
    }
    status |= old & STATUS_NEEDS_RESET;
    if (status & STATUS_FEATURES_OK && !(old & STATUS_FEATURES_OK)) {
        /* an offer that was not made, or a driver older than virtio 1.0, is not agreed to */
        if (device->state.features & ~device->offered ||
                !(device->state.features & VIRTIO_F_VERSION_1))
            status &= ~STATUS_FEATURES_OK;
        else
            device->features = device->state.features;
        for (unsigned i = 0; i < device->ops->queues; i++)
            device->queues[i].event_idx = virtio_has(device, VIRTIO_F_EVENT_IDX);
    }
    if (status & STATUS_DRIVER_OK && !(status & STATUS_FEATURES_OK))
        status &= ~STATUS_DRIVER_OK;
    device->state.status = status;
    if (status & STATUS_DRIVER_OK && !(old & STATUS_DRIVER_OK))
        tell_loop(device, VIRTIO_ACTIVATE | ((1U << device->ops->queues) - 1));
}

static void set_ready(struct virtq *queue, bool ready)
{
    struct virtq_state *state = &queue->state;

    if (!ready) {
        state->ready = false;
        return;
    }
    /* alignments of §2.7; the size is a power of two */
    state->ready = state->size && !(state->size & (state->size - 1)) &&
                   state->descriptors % 16 == 0 && state->available % 2 == 0 &&
                   state->used % 4 == 0;
}

static void set_half(uint64_t *address, bool high, uint32_t value)
{
    *address = high ? (*address & UINT32_MAX) | (uint64_t)value << 32
                    : (*address & ~(uint64_t)UINT32_MAX) | value;
}

/* The ring's set-up; refused while it is in use. */
static void write_queue(struct virtio_device *device, uint64_t offset, uint32_t value)
{
    struct virtq *queue = selected(device);

    if (!queue)
        return;
    if (offset == REG_QUEUE_READY) {
        set_ready(queue, value & 1);
        return;
    }
    if (queue->state.ready)
        return;
    if (offset == REG_QUEUE_SIZE) {
        if (value <= queue->size_max)
            queue->state.size = (uint16_t)value;
    } else if (offset < REG_QUEUE_DRIVER) {
        set_half(&queue->state.descriptors, offset & 4, value);
    } else if (offset < REG_QUEUE_DEVICE) {
        set_half(&queue->state.available, offset & 4, value);
    } else {
        set_half(&queue->state.used, offset & 4, value);
    }
}

static uint32_t half(uint64_t value, uint32_t select)
{
    if (select > 1)
        return 0;
    return (uint32_t)(select ? value >> 32 : value);
}

static uint32_t read_register(struct virtio_device *device, uint64_t offset)
{
    struct virtq *queue = selected(device);

    switch (offset) {
    case REG_MAGIC:
        return MAGIC;
    case REG_VERSION:
        return 2;
    case REG_DEVICE_ID:
        return device->ops->id;
    case REG_VENDOR_ID:
        return VENDOR;
    case REG_DEVICE_FEATURES:
        return half(device->offered, device->state.features_select);
    case REG_QUEUE_SIZE_MAX:
        return queue ? queue->size_max : 0;
    case REG_QUEUE_READY:
        return queue ? queue->state.ready : 0;
    case REG_STATUS:
        return device->state.status;
    case REG_CONFIG_GENERATION:
        return device->state.generation;
    case REG_SHM_LENGTH:
    case REG_SHM_LENGTH + 4:
    case REG_SHM_BASE_HIGH - 4:
    case REG_SHM_BASE_HIGH:
        return UINT32_MAX; /* there is no shared memory region (§4.2.2.1) */
    default:
        return 0;
    }
}

static void write_register(struct virtio_device *device, uint64_t offset, uint32_t value)
{
    struct virtio_state *state = &device->state;

    switch (offset) {
    case REG_DEVICE_FEATURES_SEL:
        state->features_select = value;
        break;
    case REG_DRIVER_FEATURES_SEL:
        state->driver_select = value;
        break;
    case REG_DRIVER_FEATURES:
        if (state->driver_select <= 1 && !(state->status & STATUS_FEATURES_OK))
            set_half(&state->features, state->driver_select, value);
        break;
    case REG_QUEUE_SEL:
        state->queue_select = value;
        break;
    case REG_STATUS:
        write_status(device, value & 0xff);
        break;
    case REG_QUEUE_SIZE:
    case REG_QUEUE_READY:
    case REG_QUEUE_DESC:
    case REG_QUEUE_DESC + 4:
    case REG_QUEUE_DRIVER:
    case REG_QUEUE_DRIVER + 4:
    case REG_QUEUE_DEVICE:
    case REG_QUEUE_DEVICE + 4:
        write_queue(device, offset, value);
        break;
    default:
        break;
    }
}

static uint64_t read_config(const struct virtio_device *device, uint64_t offset, unsigned size)
{
    uint64_t value = 0;

    if (offset < device->config_size && size <= device->config_size - offset)
        memcpy(&value, (const char *)device->config + offset, size);
    return value;
}

static void write_config(
        struct virtio_device *device, uint64_t offset, unsigned size, uint64_t value)
{
    if (!device->ops->config_written || offset >= device->config_size ||
            size > device->config_size - offset)
        return;
    memcpy((char *)device->config + offset, &value, size);
    device->ops->config_written(device);
}

static uint64_t virtio_read(void *owner, uint64_t offset, unsigned size)
{
    struct virtio_device *device = owner;
    uint64_t value = 0;

    if (offset == REG_INTERRUPT_STATUS && size == 4)
        return __atomic_load_n(&device->state.interrupt, __ATOMIC_SEQ_CST);
    pthread_mutex_lock(&device->lock);
    if (offset >= REG_CONFIG)
        value = read_config(device, offset - REG_CONFIG, size);
    else if (size == 4)
        value = read_register(device, offset);
    pthread_mutex_unlock(&device->lock);
    return value;
}

static void virtio_write(void *owner, uint64_t offset, unsigned size, uint64_t value)
{
    struct virtio_device *device = owner;

    /* the hot ones go without the lock, which the device may hold for as long as a disk takes */
    if (offset == REG_QUEUE_NOTIFY && size == 4) {
        if (value < device->ops->queues)
            tell_loop(device, 1U << value);
        return;
    }
    if (offset == REG_INTERRUPT_ACK && size == 4) {
        __atomic_fetch_and(&device->state.interrupt, ~(uint32_t)value, __ATOMIC_SEQ_CST);
        return;
    }
    pthread_mutex_lock(&device->lock);
    if (offset >= REG_CONFIG)
        write_config(device, offset - REG_CONFIG, size, value);
    else if (size == 4)
        write_register(device, offset, (uint32_t)value);
    pthread_mutex_unlock(&device->lock);
}

const struct bus_ops virtio_bus_ops = {"virtio device", virtio_read, virtio_write};

/* ---- snapshots ---- */

/* What kind of device it was, to be compared. */
struct kind {
    uint32_t id, queues;
};

static const struct state_field kind_fields[] = {
        STATE_FIELD(struct kind, id),
        STATE_FIELD(struct kind, queues),
};
static const struct state_table kind_table = STATE_TABLE("device", kind_fields);

static const struct state_field transport_fields[] = {
        STATE_FIELD(struct virtio_state, status),
        STATE_FIELD(struct virtio_state, features_select),
        STATE_FIELD(struct virtio_state, driver_select),
        STATE_FIELD(struct virtio_state, features),
        STATE_FIELD(struct virtio_state, queue_select),
        STATE_FIELD(struct virtio_state, interrupt),
        STATE_FIELD(struct virtio_state, generation),
};
static const struct state_table transport_table = STATE_TABLE("virtio", transport_fields);

static const struct state_field queue_fields[] = {
        STATE_FIELD(struct virtq_state, descriptors),
        STATE_FIELD(struct virtq_state, available),
        STATE_FIELD(struct virtq_state, used),
        STATE_FIELD(struct virtq_state, size),
        STATE_FLAG(struct virtq_state, ready),
        STATE_FIELD(struct virtq_state, next_available),
        STATE_FIELD(struct virtq_state, next_used),
};
static const struct state_table queue_table = STATE_TABLE("queue", queue_fields);

#define OWN "own" /* the section with what a device keeps in a form of its own */

int virtio_hold(struct virtio_device *device, struct error *err)
{
    pthread_mutex_lock(&device->lock);
    int r = device->ops->quiesce ? device->ops->quiesce(device, err) : 0;
    if (r < 0)
        pthread_mutex_unlock(&device->lock);
    return r;
}

void virtio_release(struct virtio_device *device)
{
    pthread_mutex_unlock(&device->lock);
}

void virtio_save(struct virtio_device *device, unsigned number, struct buf *out)
{
    struct kind kind = {device->ops->id, device->ops->queues};

    state_put(out, &kind_table, number, &kind);
    state_put(out, &transport_table, number, &device->state);
    for (unsigned i = 0; i < device->ops->queues; i++)
        state_put(out, &queue_table, number * VIRTIO_QUEUES_MAX + i, &device->queues[i].state);
    if (device->ops->extra)
        state_put(out, device->ops->extra, number, device->owner);
    if (!device->ops->save)
        return;
    _cleanup_buf_ struct buf own = {.max = out->max};
    device->ops->save(device, &own);
    state_put_bytes(out, OWN, number, own.data, own.length);
    out->overflow |= own.overflow;
}

static int restore_own(
        struct virtio_device *device, unsigned number, const struct state *state, struct error *err)
{
    const void *data;
    size_t length;
    int r = device->ops->load ? state_get_bytes(state, OWN, number, &data, &length, err) : 1;

    return r == 0 ? device->ops->load(device, data, length, err) : r < 0 ? r : 0;
}

static int restore_queue(
        struct virtq *queue, unsigned instance, const struct state *state, struct error *err)
{
    struct virtq_state wanted = {0};
    int r = state_get(state, &queue_table, instance, &wanted, err);

    if (r == 0 && wanted.size > queue->size_max)
        r = error_set(err, EINVAL, "the snapshot has a queue of %u, this device %u at most",
                wanted.size, queue->size_max);
    if (r < 0)
        return r;
    bool ready = wanted.ready;
    queue->state = wanted;
    set_ready(queue, ready);
    return 0;
}

static int restore_transport(
        struct virtio_device *device, unsigned number, const struct state *state, struct error *err)
{
    struct virtio_state transport = {0};
    int r = state_get(state, &transport_table, number, &transport, err);

    if (r == 0 && transport.features & ~device->offered)
        r = error_set(err, EINVAL, "the snapshot's features 0x%llx are not offered here",
                (unsigned long long)(transport.features & ~device->offered));
    for (unsigned i = 0; r == 0 && i < device->ops->queues; i++)
        r = restore_queue(&device->queues[i], number * VIRTIO_QUEUES_MAX + i, state, err);
    if (r == 0 && device->ops->extra)
        r = state_get(state, device->ops->extra, number, device->owner, err);
    if (r < 0)
        return r;
    device->state = transport;
    if (transport.status & STATUS_FEATURES_OK)
        device->features = transport.features;
    for (unsigned i = 0; i < device->ops->queues; i++)
        device->queues[i].event_idx = virtio_has(device, VIRTIO_F_EVENT_IDX);
    return 0;
}

/* A driver that was notified of, and not served yet, is served now: all queues are looked at. */
int virtio_restore(
        struct virtio_device *device, unsigned number, const struct state *state, struct error *err)
{
    struct kind kind = {0};
    int r = state_get(state, &kind_table, number, &kind, err);

    if (r == 0 && (kind.id != device->ops->id || kind.queues != device->ops->queues))
        r = error_set(err, EINVAL,
                "the snapshot has another kind of device there (virtio id %u); devices have to be "
                "described in the same order",
                kind.id);
    if (r == 0)
        r = restore_transport(device, number, state, err);
    if (r == 0)
        r = restore_own(device, number, state, err);
    if (r < 0)
        return error_prefix(err, "%s, device %u", device->ops->name, number);
    if (!virtio_is_live(device))
        return 0;
    if (device->ops->restored)
        device->ops->restored(device);
    tell_loop(device, VIRTIO_ACTIVATE | ((1U << device->ops->queues) - 1));
    return 0;
}
