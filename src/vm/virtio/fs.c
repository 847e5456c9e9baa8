#include "vm/virtio/fs.h"

#include <linux/virtio_fs.h>
#include <stdlib.h>
#include <string.h>

#define QUEUES 2
#define QUEUE_SIZE                                                                                 \
    256 /* a megabyte in one request: the driver takes a descriptor for each page                  \
         */

struct fs {
    struct virtio_device device;
    struct virtio_fs_config config;
    struct share *share;
    struct virtq_chain chain;
};

/* Each answer is told at once: somebody waits for it. */
static void fs_notify(struct virtio_device *device, unsigned index)
{
    struct fs *fs = device->owner;
    struct virtq *queue = &device->queues[index];
    int r;

    while ((r = virtq_next(queue, &fs->chain)) > 0) {
        if (!virtq_push(queue, &fs->chain, share_serve(fs->share, &fs->chain))) {
            r = -EFAULT;
            break;
        }
        virtq_want_notify(queue, true); /* and looks once more */
        virtio_signal(device, queue);
    }
    if (r < 0)
        virtio_break(device);
}

/* Requests are served whole, under the lock: none is in flight. */
static void fs_reset(struct virtio_device *device)
{
    struct fs *fs = device->owner;

    share_reset(fs->share);
}

static int fs_quiesce(struct virtio_device *device, struct error *err)
{
    struct fs *fs = device->owner;
    int r = share_check_keepable(fs->share, err);

    return r < 0 ? error_prefix(err, "shared folder %.36s", fs->config.tag) : 0;
}

static void fs_save(struct virtio_device *device, struct buf *out)
{
    struct fs *fs = device->owner;

    share_save(fs->share, out);
}

static int fs_load(struct virtio_device *device, const void *data, size_t length, struct error *err)
{
    struct fs *fs = device->owner;
    int r = share_load(fs->share, data, length, err);

    return r < 0 ? error_prefix(err, "shared folder %.36s", fs->config.tag) : 0;
}

static const struct virtio_ops fs_ops = {
        .name = "virtio-fs",
        .id = VIRTIO_FS,
        .queues = QUEUES,
        .queue_size = QUEUE_SIZE,
        .notify = fs_notify,
        .reset = fs_reset,
        .quiesce = fs_quiesce,
        .save = fs_save,
        .load = fs_load,
};

int fs_new(const struct virtio_place *place, const char *tag, struct share *share, struct fs **ret,
        struct error *err)
{
    struct fs *fs = calloc(1, sizeof(*fs));

    if (!fs) {
        share_free(share);
        return error_set(err, ENOMEM, "out of memory");
    }
    fs->share = share;
    fs->config.num_request_queues = QUEUES - 1;
    memcpy(fs->config.tag, tag, strnlen(tag, sizeof(fs->config.tag)));
    int r = virtio_init(&fs->device, &fs_ops, fs, place, 0, &fs->config, sizeof(fs->config), err);
    if (r < 0) {
        fs_free(fs);
        return r;
    }
    *ret = fs;
    return 0;
}

void fs_free(struct fs *fs)
{
    virtio_fini(&fs->device);
    share_free(fs->share);
    free(fs);
}

struct virtio_device *fs_device(struct fs *fs)
{
    return &fs->device;
}

void fs_begin(void *fs)
{
    share_begin(((struct fs *)fs)->share);
}
