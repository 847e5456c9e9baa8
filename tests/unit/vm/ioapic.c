#include "vm/dev/ioapic.h"

#include <stdatomic.h>

#include "test.h"

#define PIN 5
#define VECTOR 0x31
#define PULSES 500000

static atomic_uint delivered;

static void deliver(void *data, uint64_t address, uint32_t message)
{
    (void)data;
    CHECK_INT(address, 0xfee00000);
    CHECK_INT(message, VECTOR);
    atomic_fetch_add(&delivered, 1);
}

static void set_entry(struct ioapic *ioapic, uint32_t low)
{
    ioapic_bus_ops.write(ioapic, 0, 4, 0x10 + 2 * PIN);
    ioapic_bus_ops.write(ioapic, 0x10, 4, low);
}

static void *pulse(void *data)
{
    struct irq_line line = ioapic_line(data, PIN);

    for (int i = 0; i < PULSES; i++)
        irq_pulse(&line);
    return NULL;
}

/* A device's threads raise its one interrupt side by side. */
TEST(ioapic_loses_no_edge_of_two_threads)
{
    struct ioapic ioapic;
    pthread_t threads[2];

    ioapic_init(&ioapic);
    ioapic.sink = (struct irq_sink){deliver, NULL};
    delivered = 0;
    set_entry(&ioapic, VECTOR);
    for (int i = 0; i < 2; i++)
        CHECK_INT(pthread_create(&threads[i], NULL, pulse, &ioapic), 0);
    for (int i = 0; i < 2; i++)
        CHECK_INT(pthread_join(threads[i], NULL), 0);
    CHECK_INT(delivered, 2 * PULSES);
}

TEST(ioapic_keeps_an_edge_while_its_pin_is_masked)
{
    struct ioapic ioapic;
    struct irq_line line;

    ioapic_init(&ioapic);
    ioapic.sink = (struct irq_sink){deliver, NULL};
    delivered = 0;
    line = ioapic_line(&ioapic, PIN);
    irq_pulse(&line);
    irq_pulse(&line);
    CHECK_INT(delivered, 0);
    set_entry(&ioapic, VECTOR);
    CHECK_INT(delivered, 1);
}

TEST_MAIN()
