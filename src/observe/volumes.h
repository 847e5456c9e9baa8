/* Volumes as a list (`viv volume ls`) and in full. */
#pragma once

#include "observe/named.h"

extern const struct named_kind volumes_kind;

/* One volume; the object is the caller's. -ENOENT. */
int volumes_inspect(
        struct engine *engine, const char *name, struct json_object **ret, struct error *err);
