/*
 * `viv boot`: a machine of the user's own in the foreground, with its console on the terminal.
 * Starts viv-vmm with the machine's description and waits for its end.
 */
#pragma once

#include "base/arena.h"
#include "base/error.h"
#include "engine/engine.h"
#include "proto/machine.h"

#define BOOT_ESCAPE 0x01 /* ctrl-a: followed by x it ends the machine, twice it is sent once */

/* Says a line to the user. */
typedef void (*engine_boot_tell)(const char *format, ...) __attribute__((format(printf, 1, 2)));

/*
 * Boots the machine. The console's descriptors and the report are filled in here; where standard
 * input is a terminal it is raw meanwhile. `*ret_end` (texts in the arena) tells how the machine
 * ended, `*ret_status` what to exit with: 0 after a power off, the low byte of what the guest wrote
 * to the debug exit port, else 1. `tell` is called as it begins, with what the user should know.
 * -ENOENT when viv-vmm is not installed.
 */
int engine_boot(struct engine *engine, const struct proto_machine *machine, engine_boot_tell tell,
        struct proto_machine_end *ret_end, int *ret_status, struct error *err);

/* The same under a name (named.h), which may be NULL. The machine's paths are made absolute. */
int engine_boot_named(struct engine *engine, const char *name, struct proto_machine *machine,
        engine_boot_tell tell, int *ret_status, struct error *err);
