/* virtio-rng (virtio 1.2 §5.4): random bytes of the host's kernel. One queue. */
#pragma once

#include "vm/virtio/device.h"

struct rng;

int rng_new(const struct virtio_place *place, struct rng **ret, struct error *err);
void rng_free(struct rng *rng);
struct virtio_device *rng_device(struct rng *rng);
