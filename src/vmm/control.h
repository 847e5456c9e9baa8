/*
 * The control socket (proto/control.h) of the one machine: answers what engine/ asks. On the
 * machine's loop; used by main.c only.
 */
#pragma once

#include "base/loop.h"
#include "vm/machine.h"

#define CONTROL_CLIENTS_MAX 16

struct control;

/* A connection; what asks. */
struct control_client {
    struct control *control;
    struct loop_source *source;
    int fd; /* -1: free */
};

struct control {
    struct loop *loop;
    struct machine *machine;
    struct loop_source *listener; /* where the description's socket is one that listens */
    struct control_client clients[CONTROL_CLIENTS_MAX];
};

/* Serves a connected socket, or all that connect to one that listens; the descriptor stays the
 * caller's. */
int control_init(struct control *control, struct loop *loop, int fd, struct machine *machine,
        struct error *err);

/* Before the machine is freed. Harmless on a zeroed struct. */
void control_free(struct control *control);
