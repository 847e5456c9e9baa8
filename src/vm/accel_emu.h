/* The accelerator `emu`: our own CPU (src/cpu) runs the vCPUs, with local APICs and a paravirtual
 * clock of ours. */
#pragma once

#include "vm/accel.h"

extern const struct accel_ops accel_emu_ops;
