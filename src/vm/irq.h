/*
 * Interrupts between devices and vCPUs: every interrupt ends as a message (address and data, as a
 * PCI MSI has them; Intel SDM vol. 3 §11.11), which the accelerator delivers to the local APICs.
 * Devices hold an irq_line; the IOAPIC turns lines into messages.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* Who delivers messages: the accelerator. May be called from any thread. */
struct irq_sink {
    void (*deliver)(void *data, uint64_t address, uint32_t message);
    void *data;
};

/* A wire into an interrupt controller. All zero: not connected. */
struct irq_line {
    void (*pulse)(void *chip, unsigned pin);
    void *chip;
    unsigned pin;
};

/* One edge. For devices whose driver reads a cause register and asks again (virtio-mmio, 16550):
 * each new cause makes an edge, so none is lost. Any thread. */
static inline void irq_pulse(const struct irq_line *line)
{
    if (line->pulse)
        line->pulse(line->chip, line->pin);
}

enum irq_mode {
    IRQ_FIXED = 0,
    IRQ_LOWEST = 1,
    IRQ_SMI = 2,
    IRQ_NMI = 4,
    IRQ_INIT = 5,
    IRQ_STARTUP = 6,
    IRQ_EXTINT = 7,
};

/* The parts of a message. */
struct irq_message {
    uint32_t destination; /* APIC id, or a logical set */
    bool logical;
    bool level; /* level-triggered */
    bool up;    /* of a level-triggered one: asserted */
    uint8_t mode;
    uint8_t vector;
};

static inline struct irq_message irq_decode(uint64_t address, uint32_t data)
{
    return (struct irq_message){
            /* bits 40-63 of the address carry ids above 255, as KVM's x2APIC format has it */
            .destination =
                    (uint32_t)((address >> 12) & 0xff) | (uint32_t)((address >> 32) & 0xffffff00),
            .logical = address & (1 << 2),
            .level = data & (1 << 15),
            .up = data & (1 << 14),
            .mode = (data >> 8) & 7,
            .vector = data & 0xff,
    };
}
