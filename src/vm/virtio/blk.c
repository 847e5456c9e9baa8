#include "vm/virtio/blk.h"

#include <linux/virtio_blk.h>
#include <stdlib.h>
#include <string.h>

#include "vm/clock.h"

#define QUEUE_SIZE 128
#define SEGMENTS (QUEUE_SIZE - 2) /* beside header and status */
#define DISCARD_SECTORS_MAX (1U << 22)
#define RANGES_MAX 32

struct blk {
    struct virtio_device device;
    struct disk *disk;
    struct virtio_blk_config config;
    char serial[VIRTIO_BLK_ID_BYTES];
    struct limit limit;
    struct loop_source *timer; /* set while the rate limit makes the queue wait */
    struct virtq_chain chain;
    struct iovec iov[VIRTQ_SEGMENTS_MAX];
};

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

static int do_read(
        struct blk *blk, const struct virtq_chain *chain, uint64_t sector, uint64_t *written)
{
    uint64_t bytes, offset, length = chain->writable_bytes - 1;
    size_t count = virtq_slice(chain, true, 0, length, blk->iov, &bytes);

    if (!to_bytes(blk, sector, length, &offset))
        return -EIO;
    int r = blk->disk->ops->read(blk->disk, offset, blk->iov, count);
    if (r == 0)
        *written = length;
    return r;
}

static int do_write(struct blk *blk, const struct virtq_chain *chain, uint64_t sector)
{
    uint64_t bytes, offset;
    uint64_t length = chain->readable_bytes - sizeof(struct virtio_blk_outhdr);
    size_t count =
            virtq_slice(chain, false, sizeof(struct virtio_blk_outhdr), length, blk->iov, &bytes);

    if (blk->disk->read_only || !to_bytes(blk, sector, length, &offset))
        return -EIO;
    int r = blk->disk->ops->write(blk->disk, offset, blk->iov, count);
    /* without a flush command the driver counts on every write being durable (§5.2.6.2) */
    if (r == 0 && !virtio_has(&blk->device, 1ULL << VIRTIO_BLK_F_FLUSH))
        r = blk->disk->ops->flush(blk->disk);
    return r;
}

static int discard_range(
        struct blk *blk, const struct virtio_blk_discard_write_zeroes *range, bool zero)
{
    uint64_t length = (uint64_t)range->num_sectors * DISK_SECTOR, offset;

    if (range->flags & ~(zero ? VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP : 0U))
        return -EOPNOTSUPP;
    if (range->num_sectors > DISCARD_SECTORS_MAX || !to_bytes(blk, range->sector, length, &offset))
        return -EIO;
    return length ? blk->disk->ops->discard(blk->disk, offset, length, zero) : 0;
}

static int do_discard(struct blk *blk, const struct virtq_chain *chain, bool zero)
{
    struct virtio_blk_discard_write_zeroes ranges[RANGES_MAX];
    size_t length = chain->readable_bytes - sizeof(struct virtio_blk_outhdr);
    int r = 0;

    if (blk->disk->read_only || length > sizeof(ranges) || length % sizeof(ranges[0]))
        return -EIO;
    virtq_read(chain, sizeof(struct virtio_blk_outhdr), ranges, length);
    for (size_t i = 0; r == 0 && i < length / sizeof(ranges[0]); i++)
        r = discard_range(blk, &ranges[i], zero);
    return r;
}

static int do_get_id(struct blk *blk, const struct virtq_chain *chain, uint64_t *written)
{
    if (chain->writable_bytes - 1 < sizeof(blk->serial))
        return -EIO;
    *written = virtq_write(chain, 0, blk->serial, sizeof(blk->serial));
    return 0;
}

static int do_request(struct blk *blk, const struct virtq_chain *chain, uint64_t *written)
{
    struct virtio_blk_outhdr header;

    if (virtq_read(chain, 0, &header, sizeof(header)) < sizeof(header))
        return -EIO;
    switch (header.type) {
    case VIRTIO_BLK_T_IN:
        return do_read(blk, chain, header.sector, written);
    case VIRTIO_BLK_T_OUT:
        return do_write(blk, chain, header.sector);
    case VIRTIO_BLK_T_FLUSH:
        return blk->disk->ops->flush(blk->disk);
    case VIRTIO_BLK_T_DISCARD:
        return do_discard(blk, chain, false);
    case VIRTIO_BLK_T_WRITE_ZEROES:
        return do_discard(blk, chain, true);
    case VIRTIO_BLK_T_GET_ID:
        return do_get_id(blk, chain, written);
    default:
        return -EOPNOTSUPP;
    }
}

/* The last writable byte is the status. Returns the bytes written, or -1 when there is no room even
 * for it. */
static int64_t serve(struct blk *blk, const struct virtq_chain *chain)
{
    uint64_t written = 0;

    if (chain->writable_bytes == 0)
        return -1;
    uint8_t status = status_of(do_request(blk, chain, &written));
    virtq_write(chain, chain->writable_bytes - 1, &status, 1);
    return (int64_t)chain->writable_bytes;
}

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

static void blk_notify(struct virtio_device *device, unsigned index)
{
    struct blk *blk = device->owner;
    struct virtq *queue = &device->queues[index];
    int r = 0;

    while (!must_wait(blk) && (r = virtq_next(queue, &blk->chain)) > 0) {
        int64_t written = serve(blk, &blk->chain);
        limit_take(&blk->limit, blk->chain.readable_bytes + blk->chain.writable_bytes);
        if (written < 0 || !virtq_push(queue, &blk->chain, (uint64_t)written)) {
            r = -EINVAL;
            break;
        }
        virtq_want_notify(queue, true); /* and looks once more */
        virtio_signal(device, queue);
    }
    if (r < 0)
        virtio_break(device);
}

/* Requests are served whole, under the lock; what they wrote is in the image once it is flushed. */
static int blk_quiesce(struct virtio_device *device, struct error *err)
{
    struct blk *blk = device->owner;
    int r = blk->disk->read_only ? 0 : blk->disk->ops->flush(blk->disk);

    return r < 0 ? error_sys(err, -r, "flush a disk for a snapshot") : 0;
}

/* The image may be another than at the time of the snapshot: the driver reads its size again. */
static void blk_restored(struct virtio_device *device)
{
    virtio_config_changed(device);
}

/* Requests are served whole, under the lock: a reset finds none in flight. */
static const struct virtio_ops blk_ops = {
        .name = "virtio-blk",
        .id = VIRTIO_BLOCK,
        .queues = 1,
        .queue_size = QUEUE_SIZE,
        .notify = blk_notify,
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
            .max_discard_sectors = DISCARD_SECTORS_MAX,
            .max_discard_seg = RANGES_MAX,
            .discard_sector_alignment = 4096 / DISK_SECTOR,
            .max_write_zeroes_sectors = DISCARD_SECTORS_MAX,
            .max_write_zeroes_seg = RANGES_MAX,
            .write_zeroes_may_unmap = 1,
    };
    if (blk->disk->read_only)
        return features | 1ULL << VIRTIO_BLK_F_RO;
    return features | 1ULL << VIRTIO_BLK_F_DISCARD | 1ULL << VIRTIO_BLK_F_WRITE_ZEROES;
}

int blk_new(const struct virtio_place *place, const struct blk_config *config, struct blk **ret,
        struct error *err)
{
    struct blk *blk = calloc(1, sizeof(*blk));

    if (!blk) {
        disk_close(config->disk);
        return error_set(err, ENOMEM, "out of memory");
    }
    blk->disk = config->disk;
    if (config->serial)
        memcpy(blk->serial, config->serial, strnlen(config->serial, sizeof(blk->serial)));
    limit_init(&blk->limit, config->rate, clock_now_ns());
    uint64_t features = fill_config(blk);
    int r = virtio_init(
            &blk->device, &blk_ops, blk, place, features, &blk->config, sizeof(blk->config), err);
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
    virtio_fini(&blk->device);
    disk_close(blk->disk);
    free(blk);
}

struct virtio_device *blk_device(struct blk *blk)
{
    return &blk->device;
}
