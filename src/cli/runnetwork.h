/* The flags for networks: which ones, addresses, published ports, names, rates. For cli/runflags.c.
 */
#pragma once

#include "cli/runbuild.h"

extern const struct option_table run_network_table;

/* Fills the choice of the network namespace and what is asked of networks; puts the namespace into
 * the configuration. -EINVAL with the error filled. */
int run_network_apply(struct run_build *build, struct error *err);
