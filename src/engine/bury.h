/*
 * What a sandbox held whose monitor was killed (SIGKILL, a reboot) before it could tidy up: given
 * back by whoever notices next.
 */
#pragma once

#include "engine/engine.h"

/* Gives back what the sandbox holds, whose workload has ended, and takes away one that was run with
 * --rm. 1 when it is gone; 0 when it stays, or when its monitor is at it itself. */
int sandbox_bury(struct engine *engine, struct sandbox *sandbox);

/* Gives back what a sandbox holds of networks, which has ended; while it still has its folder. */
void bury_networks_of(struct engine *engine, const struct sandbox_meta *meta);

/* Gives back what all dead sandboxes hold of networks. */
void bury_networks(struct engine *engine);
