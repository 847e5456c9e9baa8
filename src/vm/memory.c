#include "vm/memory.h"

#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>

#define RESIDENT_PAGES 16384 /* looked at with one call */

static int check_size(uint64_t size, struct error *err)
{
    if (size % MEMORY_PAGE)
        return error_set(err, EINVAL,
                "memory of %" PRIu64 " bytes: not a multiple of 4096; give a size such as 256m",
                size);
    if (size < MEMORY_SIZE_MIN || size > MEMORY_SIZE_MAX)
        return error_set(err, EINVAL,
                "memory of %" PRIu64 " bytes: a machine has from 1 MiB to 512 GiB", size);
    return 0;
}

static int map_region(struct memory *memory, uint64_t base, uint64_t size, struct error *err)
{
    int flags = MAP_PRIVATE | MAP_NORESERVE | MAP_ANONYMOUS;
    void *host = mmap(NULL, size, PROT_READ | PROT_WRITE, flags, -1, 0);

    if (host == MAP_FAILED)
        return error_sys(err, errno,
                "mmap %" PRIu64 " MiB of guest memory; give the machine less (-m), or the host's "
                "process a higher limit",
                size >> 20);
    memory->regions[memory->count++] = (struct memory_region){base, size, host};
    return 0;
}

int memory_init(struct memory *memory, uint64_t size, struct error *err)
{
    uint64_t low = size < MEMORY_LOW_MAX ? size : MEMORY_LOW_MAX;
    int r = check_size(size, err);

    *memory = (struct memory){.size = size};
    if (r == 0)
        r = map_region(memory, 0, low, err);
    if (r == 0 && size > low)
        r = map_region(memory, MEMORY_HIGH_BASE, size - low, err);
    if (r < 0)
        memory_free(memory);
    return r;
}

int memory_map_file(const struct memory *memory, uint64_t begin, uint64_t length, int fd,
        uint64_t offset, struct error *err)
{
    for (size_t i = 0; i < memory->count; begin -= memory->regions[i++].size) {
        const struct memory_region *region = &memory->regions[i];
        if (begin >= region->size)
            continue;
        if (length > region->size - begin)
            break;
        void *host = mmap(region->host + begin, length, PROT_READ | PROT_WRITE,
                MAP_PRIVATE | MAP_NORESERVE | MAP_FIXED, fd, (off_t)offset);
        return host == MAP_FAILED ? error_sys(err, errno, "map a snapshot's memory") : 0;
    }
    return error_set(err, EINVAL, "a snapshot's memory reaches over the end of the machine's");
}

void memory_free(struct memory *memory)
{
    for (size_t i = 0; i < memory->count; i++)
        munmap(memory->regions[i].host, memory->regions[i].size);
    *memory = (struct memory){0};
}

void *memory_at(const struct memory *memory, uint64_t address, uint64_t length)
{
    for (size_t i = 0; i < memory->count; i++) {
        const struct memory_region *region = &memory->regions[i];
        uint64_t offset = address - region->base; /* huge when the address lies below */

        if (offset < region->size && length && length <= region->size - offset)
            return region->host + offset;
    }
    return NULL;
}

void memory_written(const struct memory *memory, uint64_t address, uint64_t length)
{
    if (memory->on_write)
        memory->on_write(memory->on_write_data, address, length);
}

uint64_t memory_resident(const struct memory *memory)
{
    unsigned char pages[RESIDENT_PAGES]; /* bit 0 of each: it is there, mincore(2) */
    uint64_t bytes = 0;

    for (size_t i = 0; i < memory->count; i++) {
        const struct memory_region *region = &memory->regions[i];
        for (uint64_t at = 0; at < region->size; at += sizeof(pages) * MEMORY_PAGE) {
            uint64_t rest = region->size - at, step = sizeof(pages) * MEMORY_PAGE;
            uint64_t length = rest < step ? rest : step;
            if (mincore(region->host + at, length, pages) < 0)
                continue;
            for (uint64_t page = 0; page < length / MEMORY_PAGE; page++)
                bytes += (pages[page] & 1) * MEMORY_PAGE;
        }
    }
    return bytes;
}

bool memory_read(const struct memory *memory, uint64_t address, void *to, uint64_t length)
{
    const void *host = memory_at(memory, address, length);

    if (host)
        memcpy(to, host, length);
    return host;
}

bool memory_write(const struct memory *memory, uint64_t address, const void *from, uint64_t length)
{
    void *host = memory_at(memory, address, length);

    if (!host)
        return false;
    memcpy(host, from, length);
    memory_written(memory, address, length);
    return true;
}

bool memory_discard(const struct memory *memory, uint64_t address, uint64_t length)
{
    uint8_t *host = memory_at(memory, address, length);

    if (!host || address % MEMORY_PAGE || length % MEMORY_PAGE)
        return false;
    if (madvise(host, length, MADV_DONTNEED) < 0)
        return false;
    memory_written(memory, address, length);
    return true;
}
