/* What sandboxes use: CPU, memory, processes, disk (`viv stats`). */
#pragma once

#include <stdio.h>

#include "engine/engine.h"

/* One reading of each sandbox that runs (of those named, if any). CPU shares are measured over
 * `interval_ms`; 0: not measured. */
int usage_print(struct engine *engine, const struct strv *names, bool json, unsigned interval_ms,
        FILE *out, struct error *err);
