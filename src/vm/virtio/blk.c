#include "vm/virtio/blk.h"

#include <linux/virtio_blk.h>
#include <stdlib.h>
#include <string.h>

#include "vm/clock.h"
#include "vm/disk/ring.h"

#define QUEUE_SIZE 128
#define SEGMENTS (QUEUE_SIZE - 2) /* beside header and status */
#define CLEAR_SECTORS_MAX (1U << 22)
#define RANGES_MAX 32
#define IN_FLIGHT_MAX 32

/* A request on its way, or one that waits to be used again. */
struct request {
    struct request *next;
    uint32_t type;
    uint64_t offset, length; /* of a transfer, in bytes of the disk */
    size_t count;            /* of `iov` */
    struct virtq_chain chain;
    struct iovec iov[VIRTQ_SEGMENTS_MAX];
};

struct blk {
    struct virtio_device device;
    struct disk *disk;
    struct virtio_blk_config config;
    char serial[VIRTIO_BLK_ID_BYTES];
    struct limit limit;
    struct loop_source *timer; /* set while the rate limit makes the queue wait */

    struct ring *ring; /* NULL: one request after the other */
    int ring_error;    /* why there is none */
    struct loop_source *ring_source;
    struct request *free; /* at least one while nothing is on its way */
    unsigned in_flight;   /* on the ring */
    unsigned draining;    /* threads that wait for `idle`: nothing more is put on the ring */
    pthread_cond_t idle;  /* with the device's lock: nothing is in flight */
    struct blk_stats stats;
};

/* ---- requests ---- */

/* The guest's range as bytes; false when it is not inside the disk. */
static bool to_bytes(const struct blk *blk, uint64_t sector, uint64_t bytes, uint64_t *ret)
{
    uint64_t sectors = blk->disk->size / DISK_SECTOR;

    if (bytes % DISK_SECTOR || sector > sectors || bytes / DISK_SECTOR > sectors - sector)
        return false;
    *ret = sector * DISK_SECTOR;
    return true;
}

static uint8_t status_of(int r)
{
    if (r == 0)
        return VIRTIO_BLK_S_OK;
    return r == -EOPNOTSUPP ? VIRTIO_BLK_S_UNSUPP : VIRTIO_BLK_S_IOERR;
}

/* Finds out what is asked for; a transfer's place on the disk and in memory. */
static int parse(struct blk *blk, struct request *request)
{
    const struct virtq_chain *chain = &request->chain;
    struct virtio_blk_outhdr header;
    uint64_t bytes;

    request->length = request->count = 0;
    if (virtq_read(chain, 0, &header, sizeof(header)) < sizeof(header))
        return -EIO;
    request->type = header.type;
    if (header.type != VIRTIO_BLK_T_IN && header.type != VIRTIO_BLK_T_OUT)
        return 0;
    bool is_read = header.type == VIRTIO_BLK_T_IN;
    if (!is_read && blk->disk->read_only)
        return -EIO;
    request->length = is_read ? chain->writable_bytes - 1 : chain->readable_bytes - sizeof(header);
    if (!to_bytes(blk, header.sector, request->length, &request->offset))
        return -EIO;
    request->count = virtq_slice(
            chain, is_read, is_read ? 0 : sizeof(header), request->length, request->iov, &bytes);
    return 0;
}

static int do_write(struct blk *blk, const struct request *request)
{
    int r = blk->disk->ops->write(blk->disk, request->offset, request->iov, request->count);

    /* without a flush command the driver counts on every write being durable (§5.2.6.2) */
    if (r == 0 && !virtio_has(&blk->device, 1ULL << VIRTIO_BLK_F_FLUSH))
        r = blk->disk->ops->flush(blk->disk);
    return r;
}

static int clear_range(
        struct blk *blk, const struct virtio_blk_discard_write_zeroes *range, bool zero)
{
    uint64_t length = (uint64_t)range->num_sectors * DISK_SECTOR, offset;
    bool unmap = range->flags & VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP;
    enum disk_clear how = !zero ? DISK_DISCARD : unmap ? DISK_ZERO : DISK_ZERO_KEEP;

    if (range->flags & ~(zero ? VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP : 0U))
        return -EOPNOTSUPP;
    if (range->num_sectors > CLEAR_SECTORS_MAX || !to_bytes(blk, range->sector, length, &offset))
        return -EIO;
    return length ? blk->disk->ops->clear(blk->disk, offset, length, how) : 0;
}

static int do_clear(struct blk *blk, const struct virtq_chain *chain, bool zero)
{
    struct virtio_blk_discard_write_zeroes ranges[RANGES_MAX];
    size_t length = chain->readable_bytes - sizeof(struct virtio_blk_outhdr);
    int r = 0;

    if (blk->disk->read_only || length > sizeof(ranges) || length % sizeof(ranges[0]))
        return -EIO;
    virtq_read(chain, sizeof(struct virtio_blk_outhdr), ranges, length);
    for (size_t i = 0; r == 0 && i < length / sizeof(ranges[0]); i++)
        r = clear_range(blk, &ranges[i], zero);
    return r;
}

static int do_get_id(struct blk *blk, const struct virtq_chain *chain)
{
    if (chain->writable_bytes - 1 < sizeof(blk->serial))
        return -EIO;
    virtq_write(chain, 0, blk->serial, sizeof(blk->serial));
    return 0;
}

/* All of it, before it returns. */
static int perform(struct blk *blk, const struct request *request)
{
    const struct disk_ops *ops = blk->disk->ops;

    switch (request->type) {
    case VIRTIO_BLK_T_IN:
        return ops->read(blk->disk, request->offset, request->iov, request->count);
    case VIRTIO_BLK_T_OUT:
        return do_write(blk, request);
    case VIRTIO_BLK_T_FLUSH:
        return ops->flush(blk->disk);
    case VIRTIO_BLK_T_DISCARD:
        return do_clear(blk, &request->chain, false);
    case VIRTIO_BLK_T_WRITE_ZEROES:
        return do_clear(blk, &request->chain, true);
    case VIRTIO_BLK_T_GET_ID:
        return do_get_id(blk, &request->chain);
    default:
        return -EOPNOTSUPP;
    }
}

/* Gives it back to the driver. The last writable byte is the status. False when the used ring is no
 * RAM any more. */
static bool answer(struct blk *blk, struct request *request, int result)
{
    const struct virtq_chain *chain = &request->chain;
    uint8_t status = status_of(result);

    virtq_write(chain, chain->writable_bytes - 1, &status, 1);
    bool good = virtq_push(&blk->device.queues[0], chain, chain->writable_bytes);
    blk->stats.requests++;
    request->next = blk->free;
    blk->free = request;
    return good;
}

/* ---- the ring ---- */

/* Puts a request on the ring, if it is of a kind that can go there. */
static bool put_on_ring(struct blk *blk, struct request *request)
{
    const struct disk_ops *ops = blk->disk->ops;
    bool writes = request->type == VIRTIO_BLK_T_OUT;
    struct disk_place place;

    if (!blk->ring)
        return false;
    if (request->type == VIRTIO_BLK_T_FLUSH) {
        int fd = ops->flush_file(blk->disk);
        return fd >= 0 && ring_sync(blk->ring, fd, request);
    }
    if (!request->length || (writes && !virtio_has(&blk->device, 1ULL << VIRTIO_BLK_F_FLUSH)))
        return false;
    if (!ops->locate(blk->disk, request->offset, request->length, writes, &place))
        return false;
    return (writes ? ring_write : ring_read)(
            blk->ring, place.fd, place.offset, request->iov, request->count, request);
}

/* A transfer that came back half done, or that was not begun, is made as a whole without the ring:
 * what is beyond a file's end, say, reads as zeros. */
static int result_of(struct blk *blk, const struct request *request, int result)
{
    if (result >= 0 && (uint64_t)result == request->length)
        return 0;
    if (result < 0 && result != -EAGAIN && result != -ECANCELED && result != -EINTR)
        return result;
    return perform(blk, request);
}

/* Answers what has ended. False when the driver broke a rule meanwhile. */
static bool reap(struct blk *blk)
{
    bool good = true, any = false;
    void *tag;
    int result;

    while (blk->in_flight && ring_next(blk->ring, &tag, &result)) {
        struct request *request = tag;
        good &= answer(blk, request, result_of(blk, request, result));
        any = true;
        if (--blk->in_flight == 0)
            pthread_cond_broadcast(&blk->idle);
    }
    if (any)
        virtio_signal(&blk->device, &blk->device.queues[0]);
    return good;
}

static void on_ring(struct loop *loop, int fd, uint32_t events, void *data)
{
    struct blk *blk = data;

    (void)loop;
    (void)fd;
    (void)events;
    pthread_mutex_lock(&blk->device.lock);
    bool good = reap(blk);
    if (!good)
        virtio_break(&blk->device);
    else if (virtio_is_live(&blk->device))
        blk->device.ops->notify(&blk->device, 0);
    pthread_mutex_unlock(&blk->device.lock);
}

/* On another thread than the disk's, which works on meanwhile: the lock is let go of. */
static void wait_until_idle(struct blk *blk)
{
    blk->draining++;
    while (blk->in_flight)
        pthread_cond_wait(&blk->idle, &blk->device.lock);
    blk->draining--;
}

void blk_end(void *owner)
{
    struct blk *blk = owner;

    pthread_mutex_lock(&blk->device.lock);
    blk->draining++; /* for good */
    while (blk->in_flight && ring_wait(blk->ring) == 0)
        (void)reap(blk);
    pthread_mutex_unlock(&blk->device.lock);
}

/* ---- the queue ---- */

static void on_timer(struct loop *loop, void *data)
{
    struct blk *blk = data;

    (void)loop;
    pthread_mutex_lock(&blk->device.lock);
    blk->timer = NULL;
    if (virtio_is_live(&blk->device))
        blk->device.ops->notify(&blk->device, 0);
    pthread_mutex_unlock(&blk->device.lock);
}

/* True when the rate limit says to go on later, and a timer is set. */
static bool must_wait(struct blk *blk)
{
    uint64_t wait = limit_wait(&blk->limit, clock_now_ns());

    if (!wait)
        return false;
    return blk->timer ||
           loop_add_timer(blk->device.loop, wait / 1000 + 1, on_timer, blk, &blk->timer) == 0;
}

/* False while as many as may be are on their way: on_ring() goes on then. */
static bool may_begin(const struct blk *blk)
{
    return !blk->draining && blk->in_flight < IN_FLIGHT_MAX;
}

/* One that can be filled; NULL: not now. */
static struct request *take_request(struct blk *blk)
{
    struct request *request = blk->free;

    if (!may_begin(blk))
        return NULL;
    if (!request)
        return malloc(sizeof(*request));
    blk->free = request->next;
    return request;
}

static bool serve(struct blk *blk, struct request *request)
{
    int r = parse(blk, request);

    limit_take(&blk->limit, request->chain.readable_bytes + request->chain.writable_bytes);
    if (r == 0 && put_on_ring(blk, request)) {
        blk->in_flight++;
        if (blk->in_flight > blk->stats.deepest)
            blk->stats.deepest = blk->in_flight;
        return true;
    }
    if (!answer(blk, request, r < 0 ? r : perform(blk, request)))
        return false;
    virtio_signal(&blk->device, &blk->device.queues[0]);
    return true;
}

/* Takes what the driver has added, for as long as more may be begun: 1, 0 when there is no more,
 * negative when the driver broke a rule. */
static int serve_some(struct blk *blk, struct virtq *queue)
{
    struct request *request;
    int r = 1;

    while (r > 0 && !must_wait(blk) && (request = take_request(blk))) {
        r = virtq_next(queue, &request->chain);
        if (r > 0 && request->chain.writable_bytes > 0) {
            r = serve(blk, request) ? 1 : -EINVAL;
            continue;
        }
        if (r > 0) /* no room even for the status */
            r = -EINVAL;
        request->next = blk->free;
        blk->free = request;
    }
    return r;
}

static void blk_notify(struct virtio_device *device, unsigned index)
{
    struct blk *blk = device->owner;
    struct virtq *queue = &device->queues[index];
    int r;

    do {
        r = serve_some(blk, queue);
        /* what is in the page cache has been transferred when this returns */
        if (blk->in_flight && ring_submit(blk->ring) < 0)
            virtio_again(device, index);
        if (!reap(blk))
            r = -EINVAL;
        virtq_want_notify(queue, true);
    } while (r >= 0 && !blk->timer && may_begin(blk) && virtq_has_next(queue));
    if (r < 0)
        virtio_break(device);
}

/* What was written is in the image once it is flushed. */
static int blk_quiesce(struct virtio_device *device, struct error *err)
{
    struct blk *blk = device->owner;

    wait_until_idle(blk);
    virtio_again(device, 0); /* what was not begun because of it */
    int r = blk->disk->read_only ? 0 : blk->disk->ops->flush(blk->disk);

    return r < 0 ? error_sys(err, -r, "flush a disk for a snapshot") : 0;
}

static void blk_reset(struct virtio_device *device)
{
    wait_until_idle(device->owner);
}

/* The image may be another than at the time of the snapshot: the driver reads its size again. */
static void blk_restored(struct virtio_device *device)
{
    virtio_config_changed(device);
}

static const struct virtio_ops blk_ops = {
        .name = "virtio-blk",
        .id = VIRTIO_BLOCK,
        .queues = 1,
        .queue_size = QUEUE_SIZE,
        .notify = blk_notify,
        .reset = blk_reset,
        .quiesce = blk_quiesce,
        .restored = blk_restored,
};

static uint64_t fill_config(struct blk *blk)
{
    uint64_t features = 1ULL << VIRTIO_BLK_F_SEG_MAX | 1ULL << VIRTIO_BLK_F_FLUSH |
                        1ULL << VIRTIO_BLK_F_BLK_SIZE;

    blk->config = (struct virtio_blk_config){
            .capacity = blk->disk->size / DISK_SECTOR,
            .seg_max = SEGMENTS,
            .blk_size = DISK_SECTOR,
            .max_discard_sectors = CLEAR_SECTORS_MAX,
            .max_discard_seg = RANGES_MAX,
            .discard_sector_alignment = 4096 / DISK_SECTOR,
            .max_write_zeroes_sectors = CLEAR_SECTORS_MAX,
            .max_write_zeroes_seg = RANGES_MAX,
            .write_zeroes_may_unmap = 1,
    };
    if (blk->disk->read_only)
        return features | 1ULL << VIRTIO_BLK_F_RO;
    return features | 1ULL << VIRTIO_BLK_F_DISCARD | 1ULL << VIRTIO_BLK_F_WRITE_ZEROES;
}

static int add_ring(struct blk *blk, struct error *err)
{
    blk->ring_error = -ring_new(IN_FLIGHT_MAX, &blk->ring);
    if (blk->ring_error)
        return 0;
    int r = loop_add_fd(
            blk->device.loop, ring_fd(blk->ring), EPOLLIN, on_ring, blk, &blk->ring_source);
    return r < 0 ? error_sys(err, -r, "epoll for a disk") : 0;
}

int blk_new(const struct virtio_place *place, const struct blk_config *config, struct blk **ret,
        struct error *err)
{
    struct blk *blk = calloc(1, sizeof(*blk));

    if (blk)
        blk->free = calloc(1, sizeof(*blk->free));
    if (!blk || !blk->free) {
        disk_close(config->disk);
        free(blk);
        return error_set(err, ENOMEM, "out of memory");
    }
    pthread_cond_init(&blk->idle, NULL);
    blk->disk = config->disk;
    if (config->serial)
        memcpy(blk->serial, config->serial, strnlen(config->serial, sizeof(blk->serial)));
    limit_init(&blk->limit, config->rate, clock_now_ns());
    uint64_t features = fill_config(blk);
    int r = virtio_init(
            &blk->device, &blk_ops, blk, place, features, &blk->config, sizeof(blk->config), err);
    if (r == 0 && config->with_ring)
        r = add_ring(blk, err);
    if (r < 0) {
        blk_free(blk);
        return r;
    }
    *ret = blk;
    return 0;
}

void blk_free(struct blk *blk)
{
    loop_remove(blk->timer);
    loop_remove(blk->ring_source);
    ring_free(blk->ring);
    virtio_fini(&blk->device);
    disk_close(blk->disk);
    while (blk->free) {
        struct request *next = blk->free->next;
        free(blk->free);
        blk->free = next;
    }
    pthread_cond_destroy(&blk->idle);
    free(blk);
}

struct blk_stats blk_get_stats(struct blk *blk)
{
    pthread_mutex_lock(&blk->device.lock);
    struct blk_stats stats = blk->stats;
    pthread_mutex_unlock(&blk->device.lock);
    stats.has_ring = blk->ring;
    stats.ring_error = blk->ring_error;
    return stats;
}

struct virtio_device *blk_device(struct blk *blk)
{
    return &blk->device;
}
