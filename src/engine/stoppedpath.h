/* Paths in a sandbox that does not run, whose volumes are not mounted: where they would lead. */
#pragma once

#include "engine/engine.h"

/*
 * The path without links and "..", each followed as it is while the sandbox runs: out of a volume,
 * and into one. `last`: a link at its end too. What is missing stays as it is. The result is in the
 * engine's arena, absolute, and ends in "/" where `path` ends in "/" or "/.". -ELOOP.
 */
int stopped_path(struct engine *engine, const struct sandbox *sandbox, const char *path, bool last,
        const char **ret, struct error *err);
