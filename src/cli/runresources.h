/* The flags for control groups. For cli/runflags.c. */
#pragma once

#include "cli/runbuild.h"

extern const struct option_table run_resources_table;

/* All limits of control groups; those of block devices by path go to the choices. -EINVAL with the
 * error filled. */
int run_resources_apply(struct run_build *build, struct error *err);
