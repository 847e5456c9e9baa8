/*
 * virtio-balloon (virtio 1.2 §5.5) with free page reporting: what the guest does not use goes back
 * to the host without anybody asking. Inflating to a target is there as well. Works on the
 * machine's loop.
 */
#pragma once

#include "vm/virtio/device.h"

struct balloon;

int balloon_new(const struct virtio_place *place, struct balloon **ret, struct error *err);
void balloon_free(struct balloon *balloon);
struct virtio_device *balloon_device(struct balloon *balloon);

/* Asks the guest to give up so many bytes in all. On the loop's thread. */
void balloon_set_target(struct balloon *balloon, uint64_t bytes);

/* What the guest has given up by inflating, and by reporting, in bytes; for statistics. */
void balloon_get_given(struct balloon *balloon, uint64_t *ret_inflated, uint64_t *ret_reported);
