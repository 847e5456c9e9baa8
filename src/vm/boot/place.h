/*
 * Places files into guest memory for the boot protocols: read straight into the top of low memory,
 * one below the other. Used by boot.c and multiboot.c only.
 */
#pragma once

#include "base/error.h"
#include "vm/boot/config.h"
#include "vm/memory.h"

#define PLACE_INFO 0x6000U         /* start information of either protocol, one page */
#define PLACE_COMMAND_LINE 0x7000U /* up to 2 KiB */
#define PLACE_NAMES 0x8000U        /* modules' command lines, up to 16 KiB */
#define PLACE_NAMES_SIZE 0x4000U
#define PLACE_LOW_END 0x9fc00U /* end of the RAM below 640 KiB, as the memory map tells it */

struct place {
    const struct memory *memory;
    uint64_t floor; /* nothing may be placed below: the kernel's end */
    uint64_t top;   /* the next file ends here; moves down */
};

/* Places from the top of the memory down to `floor` (guest-physical). */
void place_init(struct place *place, const struct memory *memory, uint64_t floor);

/* Reads the whole file to a page below what was placed last. -ENOSPC with advice. */
int place_file(struct place *place, const struct boot_file *file, uint64_t *ret_address,
        uint64_t *ret_size, struct error *err);

/* A piece of the memory map, in the numbers that PVH, Multiboot and E820 share. */
enum place_kind { PLACE_RAM = 1, PLACE_RESERVED = 2 };
struct place_range {
    uint64_t base, size;
    enum place_kind kind;
};
#define PLACE_RANGES_MAX 4

/* The memory map as guests are told it; returns the number of ranges. */
size_t place_map(const struct memory *memory, struct place_range ranges[PLACE_RANGES_MAX]);
