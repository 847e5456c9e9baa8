/* Hooks: programs that the configuration wants run at points of a container's life
 * (runtime-spec config.md#posix-platform-hooks). */
#pragma once

#include "base/error.h"
#include "spec/spec.h"

/*
 * Runs one hook with the container's state (JSON text) on its standard input, in the given working
 * directory (NULL: stays), and waits for it, at most `hook->timeout` seconds if that is set. A hook
 * that fails, dies by a signal or is late is an error with what it wrote to stderr.
 */
int container_hook_run(
        const struct spec_hook *hook, const char *state, const char *directory, struct error *err);
