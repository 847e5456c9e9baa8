/* The flags for control groups. For cli/runflags.c. */
#pragma once

#include "cli/runbuild.h"

extern const struct option_table run_resources_table;

int run_resources_apply(struct run_build *build, struct error *err);
