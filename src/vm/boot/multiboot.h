/*
 * Multiboot 1 (specification 0.6.96): bare-metal kernels with modules. Used by boot.c only.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "cpu/cpu.h"
#include "vm/boot/config.h"
#include "vm/memory.h"

/* Where the header lies in the first 8 KiB of the file; false: this is no Multiboot image. */
bool multiboot_find(const uint8_t *data, size_t size, size_t *ret_offset);

/* Loads kernel and modules, writes the information structure and sets the vCPU. */
int multiboot_load(const struct memory *memory, const struct boot_config *config,
        const uint8_t *data, size_t size, struct cpu_state *ret, struct error *err);
