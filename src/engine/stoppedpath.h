/* Paths in a sandbox that does not run, whose volumes and binds are not mounted: where they would
 * lead. */
#pragma once

#include "engine/engine.h"

struct stopped {
    struct engine *engine;
    const struct sandbox *sandbox;
    const struct spec *spec; /* its configuration (engine_config) */
};

struct stopped_place {
    int fd;           /* a folder, O_PATH; the caller's */
    const char *path; /* in it; absolute */
    bool own_ids;     /* its files are seen with the owners that are on the disk */
};

/* Whether anything but the root is to be looked at. */
bool stopped_has_mounts(const struct stopped *stopped);

/*
 * The path without links and "..", each followed as it is while the sandbox runs: out of what is
 * mounted, and into it. `last`: a link at its end too. What is missing stays as it is. The result
 * is in the engine's arena, absolute, and ends in "/" where `path` ends in "/" or "/.". -ELOOP.
 */
int stopped_path(const struct stopped *stopped, const char *path, bool last, const char **ret,
        struct error *err);

/*
 * What is mounted where this path leads, which has neither links nor "..": the deepest volume or
 * bind. 1: opened; 0: the path is of the root. -EROFS, -EBUSY: it cannot be written to;
 * -EOPNOTSUPP: it is not seen without the sandbox.
 */
int stopped_open(const struct stopped *stopped, const char *path, bool write,
        struct stopped_place *ret, struct error *err);
