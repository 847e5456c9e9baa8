/* What this host can and cannot do, and what to do about it (`viv check`). */
#pragma once

#include <stdio.h>

#include "engine/engine.h"

/* Prints a table or a JSON array with the keys "what", "state" ("ok", "limited", "missing"),
 * "found" and "remedy". Returns how many things are missing. */
int hostcheck_print(const struct container_host *host, struct arena *arena, bool json, FILE *out);
