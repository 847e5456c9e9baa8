/*
 * A 16550A serial port (National Semiconductor data sheet PC16550D), the console that every kernel
 * can speak from its first instruction on. Output goes to a descriptor at once; input is put in by
 * the machine's loop. Locks itself.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vm/bus.h"
#include "vm/irq.h"

#define SERIAL_COM1 0x3f8
#define SERIAL_COM1_PIN 4
#define SERIAL_SIZE 8
#define SERIAL_FIFO 256 /* more than the 16 of the data sheet: the host delivers in bursts */

/* What a snapshot keeps. */
struct serial_state {
    uint8_t ier, lcr, mcr, scr, dll, dlm;
    uint8_t fcr;
    uint8_t tx_interrupt; /* "transmitter empty" was not told yet */
    uint32_t first, count;
    uint8_t fifo[SERIAL_FIFO];
};

struct serial {
    pthread_mutex_t lock;
    struct serial_state state;
    struct irq_line irq;
    bool was_pending;
    int output;                  /* -1: nowhere */
    void (*on_room)(void *data); /* the guest has read: there is room for input again */
    void *on_room_data;
};

extern const struct bus_ops serial_bus_ops;

/* `output` is the descriptor that the guest's text goes to, and stays the caller's. */
void serial_init(struct serial *serial, struct irq_line irq, int output);

/* Puts input in; returns how many bytes fitted. */
size_t serial_put(struct serial *serial, const uint8_t *data, size_t length);
size_t serial_room(struct serial *serial);

/* For snapshots, while no vCPU runs. */
void serial_get_state(struct serial *serial, struct serial_state *ret);
void serial_set_state(struct serial *serial, const struct serial_state *state);
