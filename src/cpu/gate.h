/* Call gates: far calls and jumps to where the descriptor says, at an inner level. For this folder
 * only. */
#pragma once

#include "cpu/segment.h"

/* Whether a system descriptor is a call gate in the mode in force. */
bool gate_is_call(const struct cpu *cpu, const struct cpu_segment *segment);

/* Goes through the gate of a selector; CALL leaves its return address there, JMP keeps the level.
 * AMD APM vol. 2, 4.11.2; SDM vol. 3, 5.8.3 to 5.8.5. */
const struct op *gate_enter(struct cpu *cpu, const struct op *op, uint16_t selector,
        const struct descriptor *descriptor, bool call);
