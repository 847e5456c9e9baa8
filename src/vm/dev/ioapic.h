/*
 * The IOAPIC (Intel 82093AA data sheet; version 0x20 with the EOI register): 24 pins, each with a
 * redirection entry that says which message a signal on it becomes. Used under both accelerators,
 * so that a machine looks the same under each. Locks itself.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "vm/bus.h"
#include "vm/irq.h"

#define IOAPIC_BASE 0xfec00000U
#define IOAPIC_SIZE 0x1000U
#define IOAPIC_PINS 24

/* What a snapshot keeps. */
struct ioapic_state {
    uint64_t entries[IOAPIC_PINS]; /* redirection table */
    uint32_t select;               /* IOREGSEL */
    uint32_t id;
    uint32_t levels;  /* a bit for each pin: the line is up */
    uint32_t pending; /* edges that came while the pin was masked */
};

struct ioapic {
    pthread_mutex_t lock;
    struct ioapic_state state;
    struct irq_sink sink; /* set by the machine before the first vCPU runs */

    /* Told, without the lock, when entries change: KVM has to know which vectors are level-
     * triggered to report their end. NULL: nobody needs to know. */
    void (*on_change)(void *data);
    void *on_change_data;
};

extern const struct bus_ops ioapic_bus_ops;

/* All pins masked. */
void ioapic_init(struct ioapic *ioapic);

/* The line of a pin goes up or down. Any thread. */
void ioapic_set_pin(struct ioapic *ioapic, unsigned pin, bool up);

/* The wire to a pin. */
struct irq_line ioapic_line(struct ioapic *ioapic, unsigned pin);

/* A vCPU has ended the interrupt with this vector: pins that are level-triggered, and still up,
 * fire again. */
void ioapic_end_of_interrupt(struct ioapic *ioapic, uint8_t vector);

/* The message of a pin's entry. False when it is masked. */
bool ioapic_message(struct ioapic *ioapic, unsigned pin, uint64_t *ret_address, uint32_t *ret_data);

/* For snapshots, while no vCPU runs. */
void ioapic_get_state(struct ioapic *ioapic, struct ioapic_state *ret);
void ioapic_set_state(struct ioapic *ioapic, const struct ioapic_state *state);
