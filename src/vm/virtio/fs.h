/*
 * virtio-fs (virtio 1.2 §5.11): a host folder shared with the guest, which mounts it by its tag.
 * The driver's queues carry FUSE requests: queue 0 those that are not to wait behind others
 * (forgets), queue 1 all the rest. What the requests mean is in vm/share.
 *
 * Works on a thread of its own, since file systems may block.
 */
#pragma once

#include "vm/share/share.h"
#include "vm/virtio/device.h"

#define FS_TAG_MAX 36

struct fs;

/* Takes the share over, also on failure. The tag has at most FS_TAG_MAX bytes. */
int fs_new(const struct virtio_place *place, const char *tag, struct share *share, struct fs **ret,
        struct error *err);
void fs_free(struct fs *fs);
struct virtio_device *fs_device(struct fs *fs);

/* To be called on the device's thread before anything else there. */
void fs_begin(void *fs);
