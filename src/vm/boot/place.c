#include "vm/boot/place.h"

#include <inttypes.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"

#define HIGH_MEMORY 0x100000U

void place_init(struct place *place, const struct memory *memory, uint64_t floor)
{
    *place = (struct place){memory, floor, memory->regions[0].size};
}

int place_file(struct place *place, const struct boot_file *file, uint64_t *ret_address,
        uint64_t *ret_size, struct error *err)
{
    struct stat st;

    if (fstat(file->fd, &st) < 0)
        return error_sys(err, errno, "fstat %s", file->name);
    if (!S_ISREG(st.st_mode))
        return error_set(err, EINVAL, "%s: not an ordinary file", file->name);
    uint64_t size = (uint64_t)st.st_size;
    uint64_t room = place->top > place->floor ? place->top - place->floor : 0;
    if (size > room)
        return error_set(err, ENOSPC,
                "%s: %" PRIu64 " bytes do not fit beside the kernel into %" PRIu64
                " MiB of guest memory (%" PRIu64 " bytes are free); give the machine more (-m)",
                file->name, size, place->memory->size >> 20, room);

    uint64_t address = (place->top - size) & ~(MEMORY_PAGE - 1);
    if (address < place->floor)
        address = place->floor;
    if (size) {
        if (lseek(file->fd, 0, SEEK_SET) < 0)
            return error_sys(err, errno, "lseek %s", file->name);
        int r = io_read_exact(file->fd, memory_at(place->memory, address, size), size);
        if (r < 0)
            return error_sys(err, -r, "read %s", file->name);
        memory_written(place->memory, address, size);
    }
    place->top = address;
    *ret_address = address;
    *ret_size = size;
    return 0;
}

size_t place_map(const struct memory *memory, struct place_range ranges[PLACE_RANGES_MAX])
{
    size_t count = 0;

    ranges[count++] = (struct place_range){0, PLACE_LOW_END, PLACE_RAM};
    ranges[count++] = (struct place_range){ACPI_BASE, ACPI_SIZE, PLACE_RESERVED};
    for (size_t i = 0; i < memory->count; i++) {
        const struct memory_region *region = &memory->regions[i];
        uint64_t base = region->base ? region->base : HIGH_MEMORY;
        uint64_t end = region->base + region->size;
        if (end > base)
            ranges[count++] = (struct place_range){base, end - base, PLACE_RAM};
    }
    return count;
}
