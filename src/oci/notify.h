/* Readiness for the service manager that started us (NOTIFY_SOCKET, sd_notify(3)), as runc and crun
 * pass it on: `start`, and `run --detach`, return when the workload has said that it is ready. */
#pragma once

#include "container/container.h"

/* The service manager's socket; NULL: nobody waits. */
const char *oci_notify_socket(void);

/*
 * Starts a created container. When it was made for NOTIFY_SOCKET and somebody waits, its word is
 * passed on: in the foreground by a process that ends with this one, which stays the service's main
 * process; else here, with the container's pid as the new main one.
 */
int oci_notify_start(struct container *container, bool foreground, struct error *err);
