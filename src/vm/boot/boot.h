/*
 * Puts a kernel into guest memory and says where its first vCPU starts: a Linux bzImage or ELF by
 * its PVH entry (Xen's "x86/HVM direct boot ABI"), or a Multiboot 1 image with its modules
 * (Multiboot specification 0.6.96), told apart by content. Used by machine_build().
 *
 * What is written, besides the kernel: start information at 0x6000, command line at 0x7000, ACPI
 * tables at 0xe0000, a reset vector at 0xffff0, initramfs or modules at the top of low memory.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "cpu/cpu.h"
#include "vm/boot/config.h"
#include "vm/memory.h"

/* Fills memory and the state of the first vCPU. Errors as unpack.h and elf.h have them; -ENOSPC
 * when something does not fit, -E2BIG for the command line. */
int boot_load(const struct memory *memory, const struct boot_config *config, struct cpu_state *ret,
        struct error *err);
