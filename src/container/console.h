/*
 * The container's terminal: made inside the container from its own devpts, made its controlling
 * terminal and its standard streams, and shown at /dev/console. The master end goes to whoever
 * asked for it through a connected Unix socket (runc's console socket; in the foreground, our own).
 *
 * The other end is opened with TIOCGPTPEER and mounted by descriptor, never by a path that the
 * image could have prepared (CVE-2025-52565).
 */
#pragma once

#include "plan/plan.h"

struct container_console {
    int socket_slot;         /* where the master end is sent */
    uint16_t columns, lines; /* 0: as the kernel makes it */
    bool mount;              /* on /dev/console; not for a further process (exec) */
    bool host;               /* made from the host's devices: the process stays there */
};

/* Connects to a Unix stream socket by its path; the descriptor belongs to the caller. */
int container_connect(const char *path, int *ret_sock, struct error *err);

/* Appends the host step that connects to a console socket by its path and keeps it in a slot, which
 * is returned. */
int container_console_connect_step(struct plan *plan, const char *path, const char *because);

/* Appends the child step that makes the terminal; once the root is
 * entered, before the user is changed. */
void container_console_step(
        struct plan *plan, const struct container_console *args, const char *because);
