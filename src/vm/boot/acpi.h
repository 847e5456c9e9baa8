/*
 * The ACPI tables of a machine: RSDP, XSDT, a hardware-reduced FADT, MADT and a DSDT that names the
 * serial port, the pvpanic port and the virtio-mmio devices (ACPI 6.4 §5.2; virtio devices are
 * "LNRO0005", as QEMU and Linux's virtio_mmio have it). Used by the boot loader only.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "vm/memory.h"

#define ACPI_BASE 0xe0000U /* inside what the memory map tells as reserved */
#define ACPI_SIZE 0x20000U /* the last 16 bytes are the reset vector's */

/* A virtio-mmio device as the guest finds it. */
struct acpi_device {
    uint64_t base;
    uint32_t size;
    uint32_t pin; /* of the IOAPIC: its global system interrupt */
};

struct acpi_config {
    unsigned cpus;
    const struct acpi_device *devices;
    unsigned device_count;
    bool serial;
};

/* Writes the tables at ACPI_BASE; the RSDP comes first. -ENOSPC when they do not fit. */
int acpi_write_tables(
        const struct memory *memory, const struct acpi_config *config, struct error *err);
