/* Names and ids of sandboxes and volumes. */
#pragma once

#include "container/store.h"

/* For a sandbox that was given none: an adjective and an animal, and a number if that is taken. */
const char *sandbox_name_new(struct arena *arena, const struct store *store);

/* An id by chance: 64 hexadecimal digits, in the arena. */
const char *name_new_id(struct arena *arena);
