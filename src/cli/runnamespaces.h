/* The flags for the namespaces: which are new, the host's, or another's, and what is set in them.
 * For cli/runflags.c. */
#pragma once

#include "cli/runbuild.h"

extern const struct option_table run_namespaces_table;

/* Which namespaces are new, the host's or others', names, clocks, kernel parameters. -EINVAL with
 * the error filled. */
int run_namespaces_apply(struct run_build *build, struct error *err);
