/* Names for sandboxes that were given none: an adjective and an animal, and a number if that is
 * taken. */
#pragma once

#include "container/store.h"

const char *sandbox_name_new(struct arena *arena, const struct store *store);
