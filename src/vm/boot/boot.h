/*
 * Puts a kernel into guest memory and says where its first vCPU starts: a Linux bzImage or ELF by
 * its PVH entry (Xen's "x86/HVM direct boot ABI"), or a Multiboot 1 image with its modules
 * (Multiboot specification 0.6.96), told apart by content. Used by machine_build().
 *
 * What is written, besides the kernel: start information at 0x6000, command line at 0x7000, ACPI
 * tables at 0xe0000, initramfs or modules at the top of low memory.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "cpu/cpu.h"
#include "vm/boot/acpi.h"
#include "vm/memory.h"

#define BOOT_COMMAND_LINE_MAX 2047 /* what Linux takes */
#define BOOT_MODULES_MAX 16

/* An open file; the descriptor stays the caller's. */
struct boot_file {
    int fd;           /* -1: there is none */
    const char *name; /* for messages; a module's command line too */
};

struct boot_config {
    struct boot_file kernel;
    struct boot_file initrd;
    const struct boot_file *modules; /* Multiboot only */
    size_t module_count;
    const char *command_line; /* NULL: empty */
    struct acpi_config acpi;
};

/* Fills memory and the state of the first vCPU. Errors as unpack.h and elf.h have them; -ENOSPC
 * when something does not fit, -E2BIG for the command line. */
int boot_load(const struct memory *memory, const struct boot_config *config, struct cpu_state *ret,
        struct error *err);

/* For tests and flat guests: 32-bit protected mode without paging at `entry`, as PVH and Multiboot
 * start. */
void boot_protected_mode(struct cpu_state *state, uint32_t entry);

/* 16-bit real mode at a linear address below 1 MiB. */
void boot_real_mode(struct cpu_state *state, uint32_t entry);
