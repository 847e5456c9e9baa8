/*
 * A bus: which device answers at which address. A machine has two, for memory-mapped and for port
 * I/O. Filled by machine_build() before the first vCPU runs and unchanged after that, so that vCPU
 * threads look up without a lock. Owns nothing; a device that several vCPUs reach locks itself.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#define BUS_RANGES_MAX 64

struct bus_ops {
    const char *name;

    /* `offset` from the start of the device's range, `size` 1, 2, 4 or 8 bytes; the access lies
     * wholly inside the range. */
    uint64_t (*read)(void *device, uint64_t offset, unsigned size);
    void (*write)(void *device, uint64_t offset, unsigned size, uint64_t value);
};

struct bus_range {
    uint64_t base;
    uint64_t size;
    const struct bus_ops *ops;
    void *device;
};

struct bus {
    struct bus_range ranges[BUS_RANGES_MAX];
    size_t count;
};

/* -EEXIST when the range overlaps another device's, -ENOSPC when the bus is full. */
int bus_add(struct bus *bus, uint64_t base, uint64_t size, const struct bus_ops *ops, void *device,
        struct error *err);

/* Reads where no device answers give all ones; writes there are lost. The returned value has no
 * bits above `size` bytes. */
uint64_t bus_read(const struct bus *bus, uint64_t address, unsigned size);
void bus_write(const struct bus *bus, uint64_t address, unsigned size, uint64_t value);
