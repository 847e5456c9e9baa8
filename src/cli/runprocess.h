/* The flags for the process: its command, environment, directory, user and limits. For
 * cli/runflags.c. */
#pragma once

#include "cli/runbuild.h"

extern const struct option_table run_process_table;

/* Command, environment, directory, user, limits. -EINVAL with the error filled. */
int run_process_apply(struct run_build *build, struct error *err);

/* --env-file and --env alone, on top of the variables that the process has. */
int run_env_apply(struct run_build *build, struct error *err);
