/* Hooks: programs that the configuration wants run at points of a container's life
 * (runtime-spec config.md#posix-platform-hooks). */
#pragma once

#include "base/error.h"
#include "spec/spec.h"
#include "spec/state.h"

/*
 * Runs one hook with the container's state on its standard input, in the given working directory
 * (NULL: stays), and waits for it, at most `hook->timeout` seconds if that is set. A hook that
 * fails, dies by a signal or is late is an error with what it wrote to stderr. The annotations
 * run.oci.hooks.stdout and run.oci.hooks.stderr name files that its output is appended to.
 */
int container_hook_run(const struct spec_hook *hook, const struct spec_state *state,
        const char *directory, struct error *err);
