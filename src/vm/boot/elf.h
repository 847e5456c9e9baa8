/*
 * Loads an ELF kernel's segments into guest memory, by physical address, and finds its entry:
 * the PVH note (Xen's note 18) where there is one, else e_entry. Used by the boot loader only.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "vm/memory.h"

struct elf_kernel {
    uint64_t entry; /* e_entry, physical where it lies inside a segment */
    uint64_t pvh_entry;
    bool has_pvh;
    uint64_t low, high; /* what the segments cover in guest memory, [low, high) */
};

/* -ENOEXEC when it is no x86 ELF program, -EBADMSG when its headers point outside the file,
 * -ENOSPC when a segment does not fit into guest memory. */
int elf_load(const struct memory *memory, const uint8_t *data, size_t size, const char *name,
        struct elf_kernel *ret, struct error *err);
