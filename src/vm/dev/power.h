/*
 * The ports through which a guest ends its machine: ACPI's sleep and reset registers (ACPI 6.4
 * §4.8.3.7, §4.8.3.6), the pvpanic port by which a kernel tells its panic (QEMU docs/specs/
 * pvpanic), and, for bare-metal tests, the debug exit port.
 */
#pragma once

#include <stdbool.h>

#include "vm/bus.h"

#define POWER_SLEEP_CONTROL 0x600
#define POWER_SLEEP_STATUS 0x601
#define POWER_RESET 0x602
#define POWER_RESET_VALUE 0x01
#define POWER_SLEEP_TYPE_OFF 5 /* what \_S5 says */
#define POWER_PANIC 0x505
#define POWER_DEBUG_EXIT 0xf4

enum power_end { POWER_OFF, POWER_RESET_ASKED, POWER_PANICKED, POWER_EXIT };

struct power {
    /* Told on the thread of the vCPU that asked; `status` of POWER_EXIT is what was written. */
    void (*on_end)(void *data, enum power_end end, uint32_t status);
    void *data;
};

/* Puts the ports on the bus; the debug exit port only if asked for. */
int power_add(struct power *power, struct bus *pio, bool debug_exit, struct error *err);
