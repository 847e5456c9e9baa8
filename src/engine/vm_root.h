/* Where a machine's root comes from. */
#pragma once

#include "engine/engine.h"
#include "engine/vm.h"

/*
 * Fills in the configuration of a run's machine, its root too: the built-in image is a disk
 * already, a folder is made into one. Without `take` nothing is made. The caller closes root_fd.
 */
int vm_configure(struct engine *engine, const struct engine_run *run, bool take,
        struct vm_config *ret, struct error *err);
