/*
 * The control socket (proto/control.h) of the one machine: answers what engine/ asks. On the
 * machine's loop; used by main.c only.
 */
#pragma once

#include "base/loop.h"
#include "vm/machine.h"

struct control {
    struct loop *loop;
    struct machine *machine;
    struct loop_source *source;
    int fd;
};

/* Listens; the descriptor stays the caller's. */
int control_init(struct control *control, struct loop *loop, int fd, struct machine *machine,
        struct error *err);

/* Before the machine is freed. Harmless on a zeroed struct. */
void control_free(struct control *control);
