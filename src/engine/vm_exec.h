/* One more process in a machine. */
#pragma once

#include "engine/engine.h"

/*
 * As container_exec(): has the agent start the request's process, and makes viv-shim stand for it.
 * The process has begun when this returns; a user's name is looked up inside.
 */
int vm_exec(const struct sandbox *sandbox, const struct container_exec_request *request,
        const struct engine_exec *exec, struct container_making *ret, struct error *err);
