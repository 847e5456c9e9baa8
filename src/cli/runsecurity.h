/* The flags for capabilities, seccomp, labels, masked paths, and --privileged. For cli/runflags.c.
 */
#pragma once

#include "cli/runbuild.h"

extern const struct option_table run_security_table;

/* Capabilities, filters, labels, masked paths. -EINVAL with the error filled. */
int run_security_apply(struct run_build *build, struct error *err);
