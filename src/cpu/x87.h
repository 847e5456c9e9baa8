/* What MMX instructions share with the x87's. For this folder only. */
#pragma once

#include "cpu/state.h"

/* Checks and loads the x87 into the host's; raises #NM, and #MF when `waits` and one is pending. */
void x87_begin(struct cpu *cpu, const struct op *op, bool waits);
