/* The flags for what happens while it runs and when it ends: restarts, health checks, the log. For
 * cli/runflags.c. */
#pragma once

#include "cli/runbuild.h"

extern const struct option_table run_life_table;

/* Reads "no", "on-failure[:N]", "always", "unless-stopped". -EINVAL with the error filled. */
int run_restart_read(
        struct arena *arena, const char *text, const char **ret, int *ret_max, struct error *err);

/* Fills the choices of these. -EINVAL with the error filled. */
int run_life_apply(struct run_build *build, struct error *err);
