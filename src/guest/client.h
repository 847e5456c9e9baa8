/* One connection of the host's to the agent: what it asks for, and the streams of the process that
 * came of it. */
#pragma once

#include "guest/guest.h"

/* Opens the machine's own connection: says hello to the host. It is opened anew when it is lost,
 * since this may be a copy of the guest that opened it: one that goes on from a template
 * (engine/template.h), or from a snapshot, whose workload the host then takes up. */
int client_greet(struct guest *guest, struct error *err);

/* Takes a connected socket over and serves it on the guest's loop until it ends. `first`: it is the
 * machine's own; the machine is powered off when it ends. */
int client_new(struct guest *guest, int fd, bool first, struct error *err);

/* Takes on the children that have ended: those of connections, and orphans, whose parent is process
 * 1 now. */
void clients_reap(struct guest *guest);
