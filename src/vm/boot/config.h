/* What is to be booted; shared by the boot protocols. */
#pragma once

#include <stddef.h>

#include "vm/boot/acpi.h"

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
