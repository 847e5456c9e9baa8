/*
 * Ranges of user and group ids for `--userns auto`: 65536 ids for each sandbox, out of 524288 to
 * 1878982655, the part of the id space that is meant for container ids and that no user of the
 * host is in (systemd's UIDS-GIDS.md). A range is taken by making ROOT/.ids/<number>, so that
 * several processes never take the same one.
 */
#pragma once

#include "container/store.h"

#define IDRANGE_SIZE 65536U

/* Takes a free range for the sandbox. -ENOSPC when all 28663 are in use. */
int idrange_take(const struct store *store, const char *id, uint32_t *ret_first, struct error *err);

/* The range that a take would try first; takes nothing. For explain. */
uint32_t idrange_guess(const char *id);

/* Gives a sandbox's range back. One that is not taken, or is another's by now, is left alone. */
void idrange_release(const struct store *store, const char *id, uint32_t first);

/* The sandbox that has a range is called otherwise from now on. */
void idrange_rename(const struct store *store, const char *new_id, uint32_t first);

/* Gives back the ranges that nobody has any more. */
void idrange_sweep(const struct store *store);
