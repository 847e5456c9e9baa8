/* Namespaces that a sandbox shares with another one: found anew at each start, since the other
 * one's process is another then. */
#pragma once

#include "engine/engine.h"

/* Sets or adds a namespace of the configuration; path NULL: a new one. */
void namespace_set(struct arena *arena, struct spec *spec, const char *kind, const char *path);

/*
 * Puts the paths of the other sandboxes' namespaces into the configuration; with the IPC namespace
 * comes /dev/shm. `*ret_joined`: the user
 * namespace is another's too, since namespaces belong to one, whose root alone has rights in them.
 * -ENOENT, -ESRCH (it does not run).
 */
int joins_resolve(struct engine *engine, const struct sandbox_meta *meta, struct spec *spec,
        bool *ret_joined, struct error *err);
