/*
 * virtio-console with one port (virtio 1.2 §5.3): the guest's hvc0. Input comes from a descriptor
 * that is only read while the guest offers buffers, so that nothing is lost; output goes to one at
 * once. Works on the machine's loop.
 */
#pragma once

#include "vm/virtio/device.h"

struct console;

struct console_config {
    int input, output;      /* -1: none; stay the caller's */
    uint16_t columns, rows; /* 0: not told */
};

/* A console (virtio 1.2 5.3); belongs to the caller. */
int console_new(const struct virtio_place *place, const struct console_config *config,
        struct console **ret, struct error *err);
void console_free(struct console *console);
struct virtio_device *console_device(struct console *console);

/* The terminal's size has changed. On the loop's thread. */
void console_resize(struct console *console, uint16_t columns, uint16_t rows);
