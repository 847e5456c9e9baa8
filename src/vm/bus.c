#include "vm/bus.h"

#include <inttypes.h>

int bus_add(struct bus *bus, uint64_t base, uint64_t size, const struct bus_ops *ops, void *device,
        struct error *err)
{
    if (bus->count >= BUS_RANGES_MAX)
        return error_set(err, ENOSPC, "no room on the bus for %s", ops->name);
    for (size_t i = 0; i < bus->count; i++) {
        const struct bus_range *other = &bus->ranges[i];
        if (base < other->base + other->size && other->base < base + size)
            return error_set(err, EEXIST, "%s at 0x%" PRIx64 " overlaps %s", ops->name, base,
                    other->ops->name);
    }
    bus->ranges[bus->count++] = (struct bus_range){base, size, ops, device};
    return 0;
}

static const struct bus_range *find_range(const struct bus *bus, uint64_t address, unsigned size)
{
    for (size_t i = 0; i < bus->count; i++) {
        const struct bus_range *range = &bus->ranges[i];
        uint64_t offset = address - range->base;

        if (offset < range->size)
            return size <= range->size - offset ? range : NULL;
    }
    return NULL;
}

static uint64_t mask_of(unsigned size)
{
    return size >= 8 ? UINT64_MAX : ((uint64_t)1 << (size * 8)) - 1;
}

uint64_t bus_read(const struct bus *bus, uint64_t address, unsigned size)
{
    const struct bus_range *range = find_range(bus, address, size);

    if (!range)
        return mask_of(size);
    return range->ops->read(range->device, address - range->base, size) & mask_of(size);
}

void bus_write(const struct bus *bus, uint64_t address, unsigned size, uint64_t value)
{
    const struct bus_range *range = find_range(bus, address, size);

    if (range)
        range->ops->write(range->device, address - range->base, size, value & mask_of(size));
}
