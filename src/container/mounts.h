/* Mounts in a container that runs: crun's `mounts add` and `mounts remove`. */
#pragma once

#include "container/container.h"

/*
 * Mounts what `mounts->mounts` lists into the running container, in that order, or takes it away
 * again in the reverse one (only the destinations count then). Sources are looked up on the host,
 * destinations inside the container's root. The first failure ends it; what was mounted before
 * stays.
 */
int container_mounts_change(const struct container *container, const struct container_host *host,
        const struct spec *mounts, bool remove, struct error *err);
