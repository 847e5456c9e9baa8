/*
 * Machines of the user's own that have a name (`viv boot --name`): a folder below the data root
 * with the machine's description, a socket to viv-vmm while it runs, and its snapshot:
 *
 *     machines/NAME/machine.json   what was booted, with absolute paths
 *     machines/NAME/control.sock   see proto/control.h
 *     machines/NAME/snapshot       see proto/snapshot.h
 *
 * A snapshot elsewhere (FILE) has its description beside it, as FILE.json.
 */
#pragma once

#include "base/arena.h"
#include "base/error.h"
#include "proto/machine.h"

/*
 * Gives a machine that is about to start its name: writes the description down, with paths made
 * absolute, and listens at the control socket, whose descriptor goes into it (the caller's to
 * close). -EINVAL for what is no name, -EBUSY when a machine of that name runs.
 */
int named_begin(struct arena *arena, const char *data_root, const char *name,
        struct proto_machine *machine, struct error *err);

/* The machine has ended: takes the socket away. */
void named_end(struct arena *arena, const char *data_root, const char *name);

/* Writes a running machine's snapshot to a file (NULL: the one of its name), which is replaced when
 * it is whole. With `stop` the machine ends then. -ESRCH when none of that name runs. */
int named_snapshot(struct arena *arena, const char *data_root, const char *name, const char *file,
        bool stop, struct error *err);

/* Whether there is, or was, a machine of that name. */
bool named_is_there(struct arena *arena, const char *data_root, const char *name);

/* The description of what a name's or a file's snapshot goes on with, the snapshot in it. A word
 * with a slash, or of no machine, is a file. `*ret_name` is the name, NULL for a file. */
int named_load(struct arena *arena, const char *data_root, const char *word,
        struct proto_machine *ret, const char **ret_name, struct error *err);
