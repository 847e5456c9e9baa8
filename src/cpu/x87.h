/* What MMX instructions share with the x87's. For this folder only. */
#pragma once

#include "cpu/state.h"

/* Checks and loads the x87 into the host's; raises #NM, and #MF when `waits` and one is pending. */
void x87_begin(struct cpu *cpu, const struct op *op, bool waits);

/* Makes the top of stack 0, the registers staying where they are: memory's ST(0) is then R0. The
 * state must be in memory. */
void x87_rotate(struct cpu *cpu);
