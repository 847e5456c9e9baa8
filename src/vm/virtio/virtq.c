#include "vm/virtio/virtq.h"

#include <errno.h>
#include <string.h>

#define DESC_NEXT 1
#define DESC_WRITE 2
#define DESC_INDIRECT 4
#define AVAIL_NO_INTERRUPT 1
#define USED_NO_NOTIFY 1

struct descriptor {
    uint64_t address;
    uint32_t length;
    uint16_t flags;
    uint16_t next;
};

struct used_element {
    uint32_t id;
    uint32_t length;
};

/* A descriptor table: the queue's own, or an indirect one. */
struct table {
    uint64_t address;
    uint32_t size;
};

void virtq_init(struct virtq *queue, const struct memory *memory, uint16_t size_max)
{
    *queue = (struct virtq){.memory = memory, .size_max = size_max};
    queue->state.size = size_max;
}

void virtq_reset(struct virtq *queue)
{
    virtq_init(queue, queue->memory, queue->size_max);
}

/* A 16-bit field of a ring; the driver writes it at the same time. NULL when it is no RAM. */
static uint16_t *ring_field(const struct virtq *queue, uint64_t ring, uint64_t offset)
{
    uint64_t address = ring + offset;

    if (address < ring || address % 2)
        return NULL;
    return memory_at(queue->memory, address, sizeof(uint16_t));
}

static bool load_field(const struct virtq *queue, uint64_t ring, uint64_t offset, uint16_t *ret)
{
    uint16_t *field = ring_field(queue, ring, offset);

    if (field)
        *ret = __atomic_load_n(field, __ATOMIC_ACQUIRE);
    return field;
}

static bool store_field(const struct virtq *queue, uint64_t ring, uint64_t offset, uint16_t value)
{
    uint16_t *field = ring_field(queue, ring, offset);

    if (!field)
        return false;
    __atomic_store_n(field, value, __ATOMIC_RELEASE);
    memory_written(queue->memory, ring + offset, sizeof(value));
    return true;
}

static bool add_segment(
        struct virtq_chain *chain, const struct virtq *queue, const struct descriptor *descriptor)
{
    unsigned count = chain->readable + chain->writable;
    void *host = memory_at(queue->memory, descriptor->address, descriptor->length);

    if (!host)
        return false;
    chain->segments[count] = (struct iovec){host, descriptor->length};
    chain->addresses[count] = descriptor->address;
    if (descriptor->flags & DESC_WRITE) {
        chain->writable++;
        chain->writable_bytes += descriptor->length;
    } else {
        chain->readable++;
        chain->readable_bytes += descriptor->length;
    }
    return true;
}

/* The rules of §2.7.4 and §2.7.5.3.1, on a copy of the descriptor. */
static int check_descriptor(
        const struct virtq_chain *chain, const struct descriptor *descriptor, bool indirect_table)
{
    if (descriptor->flags & DESC_INDIRECT)
        return indirect_table || descriptor->flags & DESC_NEXT || descriptor->length == 0 ||
                               descriptor->length % sizeof(struct descriptor) ||
                               descriptor->length / sizeof(struct descriptor) > VIRTQ_SEGMENTS_MAX
                       ? -EINVAL
                       : 0;
    if (chain->readable + chain->writable >= VIRTQ_SEGMENTS_MAX)
        return -EINVAL;
    if (chain->writable && !(descriptor->flags & DESC_WRITE))
        return -EINVAL; /* what the device reads comes first */
    return 0;
}

static int read_descriptor(const struct virtq *queue, const struct table *table, uint32_t index,
        struct descriptor *ret)
{
    if (index >= table->size)
        return -EINVAL;
    uint64_t offset = (uint64_t)index * sizeof(*ret);
    if (table->address + offset < table->address ||
            !memory_read(queue->memory, table->address + offset, ret, sizeof(*ret)))
        return -EFAULT;
    return 0;
}

static int walk(const struct virtq *queue, struct virtq_chain *chain)
{
    struct table table = {queue->state.descriptors, queue->state.size};
    uint32_t index = chain->head;
    bool indirect = false;

    /* a chain that has more links than its table has entries goes round in circles */
    for (uint32_t steps = 0; steps <= table.size; steps++) {
        struct descriptor descriptor;
        int r = read_descriptor(queue, &table, index, &descriptor);
        if (r == 0)
            r = check_descriptor(chain, &descriptor, indirect);
        if (r < 0)
            return r;
        if (descriptor.flags & DESC_INDIRECT) {
            table = (struct table){
                    descriptor.address, descriptor.length / (uint32_t)sizeof(descriptor)};
            indirect = true;
            index = 0;
            steps = 0;
            continue;
        }
        if (descriptor.length && !add_segment(chain, queue, &descriptor))
            return -EFAULT;
        if (!(descriptor.flags & DESC_NEXT))
            return 1;
        index = descriptor.next;
    }
    return -EINVAL;
}

int virtq_next(struct virtq *queue, struct virtq_chain *chain)
{
    struct virtq_state *state = &queue->state;
    uint16_t index, head;

    if (!state->ready)
        return 0;
    if (!load_field(queue, state->available, 2, &index))
        return -EFAULT;
    uint16_t added = (uint16_t)(index - state->next_available);
    if (added == 0)
        return 0;
    if (added > state->size)
        return -ERANGE;
    uint64_t slot = 4 + 2 * (uint64_t)(state->next_available % state->size);
    if (!load_field(queue, state->available, slot, &head))
        return -EFAULT;

    chain->head = head;
    chain->readable = chain->writable = 0;
    chain->readable_bytes = chain->writable_bytes = 0;
    int r = walk(queue, chain);
    if (r > 0)
        state->next_available++;
    return r;
}

bool virtq_has_next(const struct virtq *queue)
{
    uint16_t index;

    return queue->state.ready && load_field(queue, queue->state.available, 2, &index) &&
           index != queue->state.next_available;
}

void virtq_unget(struct virtq *queue)
{
    queue->state.next_available--;
}

bool virtq_push_head(struct virtq *queue, uint16_t head, uint64_t written)
{
    struct virtq_state *state = &queue->state;
    struct used_element element = {head, written > UINT32_MAX ? UINT32_MAX : (uint32_t)written};
    uint64_t slot = 4 + sizeof(element) * (uint64_t)(state->next_used % state->size);

    if (!state->ready ||
            !memory_write(queue->memory, state->used + slot, &element, sizeof(element)))
        return false;
    state->next_used++;
    return store_field(queue, state->used, 2, state->next_used);
}

void virtq_tell_written(
        const struct virtq *queue, const struct virtq_chain *chain, uint64_t written)
{
    for (unsigned i = chain->readable; written && i < chain->readable + chain->writable; i++) {
        uint64_t size = chain->segments[i].iov_len;
        uint64_t length = size < written ? size : written;
        memory_written(queue->memory, chain->addresses[i], length);
        written -= length;
    }
}

bool virtq_push(struct virtq *queue, const struct virtq_chain *chain, uint64_t written)
{
    virtq_tell_written(queue, chain, written);
    return virtq_push_head(queue, chain->head, written);
}

bool virtq_wants_interrupt(struct virtq *queue)
{
    struct virtq_state *state = &queue->state;
    uint16_t flags, event;

    __atomic_thread_fence(__ATOMIC_SEQ_CST); /* the used index before the driver's wish */
    if (queue->event_idx) {
        uint16_t old = queue->signalled;
        bool first = !queue->has_signalled;
        if (!load_field(queue, state->available, 4 + 2 * (uint64_t)state->size, &event))
            return false;
        queue->signalled = state->next_used;
        queue->has_signalled = true;
        return first ||
               (uint16_t)(state->next_used - event - 1) < (uint16_t)(state->next_used - old);
    }
    return load_field(queue, state->available, 0, &flags) && !(flags & AVAIL_NO_INTERRUPT);
}

void virtq_want_notify(struct virtq *queue, bool want)
{
    struct virtq_state *state = &queue->state;

    if (!state->ready)
        return;
    if (!queue->event_idx)
        store_field(queue, state->used, 0, want ? 0 : USED_NO_NOTIFY);
    else if (want)
        store_field(queue, state->used, 4 + sizeof(struct used_element) * (uint64_t)state->size,
                state->next_available);
    __atomic_thread_fence(__ATOMIC_SEQ_CST); /* the wish before the look at the available index */
}

size_t virtq_slice(const struct virtq_chain *chain, bool writable, uint64_t offset, uint64_t length,
        struct iovec *iov, uint64_t *ret_bytes)
{
    unsigned first = writable ? chain->readable : 0;
    unsigned end = writable ? chain->readable + chain->writable : chain->readable;
    size_t count = 0;

    *ret_bytes = 0;
    for (unsigned i = first; i < end && *ret_bytes < length; i++) {
        uint64_t size = chain->segments[i].iov_len;
        if (offset >= size) {
            offset -= size;
            continue;
        }
        uint64_t take = size - offset;
        if (take > length - *ret_bytes)
            take = length - *ret_bytes;
        iov[count++] = (struct iovec){(char *)chain->segments[i].iov_base + offset, take};
        *ret_bytes += take;
        offset = 0;
    }
    return count;
}

size_t virtq_read(const struct virtq_chain *chain, size_t offset, void *to, size_t length)
{
    struct iovec iov[VIRTQ_SEGMENTS_MAX];
    uint64_t bytes;
    size_t count = virtq_slice(chain, false, offset, length, iov, &bytes);
    char *at = to;

    for (size_t i = 0; i < count; at += iov[i].iov_len, i++)
        memcpy(at, iov[i].iov_base, iov[i].iov_len);
    return bytes;
}

size_t virtq_write(const struct virtq_chain *chain, size_t offset, const void *from, size_t length)
{
    struct iovec iov[VIRTQ_SEGMENTS_MAX];
    uint64_t bytes;
    size_t count = virtq_slice(chain, true, offset, length, iov, &bytes);
    const char *at = from;

    for (size_t i = 0; i < count; at += iov[i].iov_len, i++)
        memcpy(iov[i].iov_base, at, iov[i].iov_len);
    return bytes;
}
