/*
 * Brings the console's input into the serial port: reads only what the port has room for, and waits
 * for the guest to take it when it is full, so that no byte is lost. On the machine's loop; used by
 * machine.c only.
 */
#pragma once

#include "base/loop.h"
#include "vm/dev/serial.h"

struct console_input {
    struct loop *loop;
    struct serial *serial;
    struct loop_source *source;  /* of the descriptor, while there is room */
    struct loop_source *waiting; /* of room_fd */
    int fd;
    int room_fd; /* eventfd: the guest has read */
};

/* The descriptor stays the caller's. */
void console_input_init(
        struct console_input *input, struct loop *loop, int fd, struct serial *serial);
void console_input_free(struct console_input *input);
