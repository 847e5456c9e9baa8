/* `--time` and `--signal` of the commands that stop sandboxes. */
#pragma once

#include "base/record.h"
#include "engine/engine.h"

/* -EINVAL: a time that is none, an unknown signal. `signal` may be NULL. */
int stopping_read(const struct opt_i64 *seconds, const char *signal, struct engine_stopping *ret,
        struct error *err);
