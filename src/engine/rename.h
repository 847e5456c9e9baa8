/* Another name for a sandbox, also for one that runs. Its id, its control group and the host name
 * that it sees stay. */
#pragma once

#include "engine/engine.h"

/* -EEXIST: the name is taken; -EINVAL: it is none. */
int engine_rename(struct engine *engine, const char *name, const char *new_name, struct error *err);

/* Whether a sandbox that was renamed may still have the control group of this name. */
bool rename_left_group(const struct engine *engine, const char *name);
