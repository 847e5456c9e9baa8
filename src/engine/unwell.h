/* What is done to a sandbox whose health check has failed too often: --health-on-failure. */
#pragma once

#include "engine/engine.h"

/*
 * Does what meta->health.on_failure says, in a process of its own that nobody waits for: the caller
 * may be the sandbox's monitor, which ends when the sandbox does.
 */
void unwell_act(const struct engine_root *root, const struct sandbox_meta *meta);
