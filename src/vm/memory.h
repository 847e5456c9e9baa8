/*
 * Guest memory, and the one gate to it: every address that a guest supplies becomes a pointer here
 * or nowhere. Used by the boot loaders, the ring reader and the accelerators; any thread may use
 * it. Owns the mappings.
 *
 * The memory map, in guest-physical bytes:
 *
 *     0            RAM, up to 3 GiB (0xa0000-0xfffff is told as reserved; ACPI lives at 0xe0000)
 *     0xd0000000   virtio-mmio devices, one page each
 *     0xfec00000   IOAPIC          0xfee00000   LAPIC
 *     0x100000000  the rest of RAM
 *
 * Guest memory changes under the reader's eyes: what is validated must have been copied first.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#define MEMORY_LOW_MAX ((uint64_t)3 << 30)
#define MEMORY_HIGH_BASE ((uint64_t)4 << 30)
#define MEMORY_SIZE_MAX ((uint64_t)512 << 30)
#define MEMORY_SIZE_MIN ((uint64_t)1 << 20)
#define MEMORY_PAGE ((uint64_t)4096)

struct memory_region {
    uint64_t base; /* guest-physical */
    uint64_t size; /* bytes, a multiple of the page size */
    uint8_t *host;
};

struct memory {
    struct memory_region regions[2];
    size_t count;
    uint64_t size; /* bytes in all */

    /* Told of writes that no vCPU made, after they were made: an accelerator that keeps decoded
     * code drops it then. NULL: nobody needs to know. */
    void (*on_write)(void *data, uint64_t address, uint64_t length);
    void *on_write_data;
};

/* Anonymous memory of so many bytes (a multiple of 4096). -EINVAL with advice for sizes outside
 * MEMORY_SIZE_MIN … MEMORY_SIZE_MAX, -ENOMEM. */
int memory_init(struct memory *memory, uint64_t size, struct error *err);

/* Puts part of a file in the place of memory that nobody uses yet: privately, so that the machine
 * starts with the file's content and shares what it does not change. `begin` counts the regions as
 * if they lay one after the other. All are multiples of a page; the part must not reach over a
 * region's end. The descriptor may be closed afterwards. */
int memory_map_file(const struct memory *memory, uint64_t begin, uint64_t length, int fd,
        uint64_t offset, struct error *err);

/* Unmaps all regions; nobody may use an address of memory_at() any more. */
void memory_free(struct memory *memory);

/* THE gate: the host's address of [address, address + length), or NULL unless all of it is RAM in
 * one region. A length of 0 gives NULL. */
void *memory_at(const struct memory *memory, uint64_t address, uint64_t length);

/* To be called after writing through memory_at(). */
void memory_written(const struct memory *memory, uint64_t address, uint64_t length);

/* How many bytes of it are in the host's memory now, its own or the page cache's. */
uint64_t memory_resident(const struct memory *memory);

/* Copies; false when the range is not RAM, and nothing was copied then. */
bool memory_read(const struct memory *memory, uint64_t address, void *to, uint64_t length);
bool memory_write(const struct memory *memory, uint64_t address, const void *from, uint64_t length);

/* Gives whole pages back to the host; the guest finds them zeroed, or as the snapshot has them.
 * False when the range is not RAM. */
bool memory_discard(const struct memory *memory, uint64_t address, uint64_t length);
