/* Where a machine's root comes from. */
#pragma once

#include "engine/engine.h"
#include "engine/vm.h"

/* Fills in the configuration of a run's machine, its root too. */
int vm_configure(struct engine *engine, const struct engine_run *run, struct vm_config *ret,
        struct error *err);
