/* The keys that leave a terminal without ending what runs on it (`--detach-keys`). */
#pragma once

#include "base/str.h"

#define DETACH_KEYS_MAX 8

/* From "ctrl-p,ctrl-q" (NULL stands for that) to the bytes that a terminal sends; "" for none. */
int detach_keys_read(struct arena *arena, const char *text, const char **ret, struct error *err);
