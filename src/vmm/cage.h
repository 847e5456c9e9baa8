/*
 * viv-vmm's own sandbox, entered when all that the description names has been opened, and before
 * the guest's first instruction: an empty root, an id of its own, no way to more rights. What
 * engine/ has prepared for it is in proto_cage (proto/machine.h). Used by main.c only.
 */
#pragma once

#include "base/error.h"
#include "proto/machine.h"

#define CAGE_ANY_FOLDER "/proc" /* there on every Linux, and covered for a while */

/* What happens to mounts from here on nobody else sees. Only in a mount namespace of its own. */
int cage_make_private(struct error *err);

/* A detached, empty tmpfs. */
int cage_make_tmpfs(int *ret, struct error *err);

/*
 * Enters it; the process has one thread yet. Without a cage in the description only new privileges
 * are given up. Where the machine has a vsock device with a path, that folder is left in the
 * otherwise empty root, under its own path, since connections out of the guest end there.
 */
int cage_enter(const struct proto_machine *machine, struct error *err);
