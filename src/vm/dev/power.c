#include "vm/dev/power.h"

#define SLEEP_ENABLE 0x20
#define SLEEP_TYPE(value) (((value) >> 2) & 7)
#define PANIC_PANICKED 0x01
#define PANIC_CRASH_LOADED 0x02 /* a crash kernel takes over: nothing ends here */

static void end(struct power *power, enum power_end reason, uint32_t status)
{
    power->on_end(power->data, reason, status);
}

static uint64_t acpi_read(void *device, uint64_t offset, unsigned size)
{
    (void)device;
    (void)offset;
    (void)size;
    return 0;
}

static void acpi_write(void *device, uint64_t offset, unsigned size, uint64_t value)
{
    (void)size;
    if (offset == POWER_RESET - POWER_SLEEP_CONTROL && (value & 0xff) == POWER_RESET_VALUE)
        end(device, POWER_RESET_ASKED, 0);
    if (offset == 0 && value & SLEEP_ENABLE && SLEEP_TYPE(value) == POWER_SLEEP_TYPE_OFF)
        end(device, POWER_OFF, 0);
}

static uint64_t panic_read(void *device, uint64_t offset, unsigned size)
{
    (void)device;
    (void)offset;
    (void)size;
    return PANIC_PANICKED | PANIC_CRASH_LOADED; /* the events that are understood */
}

static void panic_write(void *device, uint64_t offset, unsigned size, uint64_t value)
{
    (void)offset;
    (void)size;
    if (value & PANIC_PANICKED)
        end(device, POWER_PANICKED, 0);
}

static void exit_write(void *device, uint64_t offset, unsigned size, uint64_t value)
{
    (void)size;
    if (offset == 0)
        end(device, POWER_EXIT, (uint32_t)value);
}

static const struct bus_ops acpi_ops = {"ACPI power registers", acpi_read, acpi_write};
static const struct bus_ops panic_ops = {"pvpanic", panic_read, panic_write};
static const struct bus_ops exit_ops = {"debug exit port", acpi_read, exit_write};

int power_add(struct power *power, struct bus *pio, bool debug_exit, struct error *err)
{
    int r = bus_add(pio, POWER_SLEEP_CONTROL, 4, &acpi_ops, power, err);

    if (r == 0)
        r = bus_add(pio, POWER_PANIC, 1, &panic_ops, power, err);
    if (r == 0 && debug_exit)
        r = bus_add(pio, POWER_DEBUG_EXIT, 4, &exit_ops, power, err);
    return r;
}
