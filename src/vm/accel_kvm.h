/* The accelerator `kvm`: the host's kernel runs the vCPUs, with its local APICs and our IOAPIC.
 * Takes the signal SIGUSR1 of the process, by which vCPUs are interrupted. */
#pragma once

#include "vm/accel.h"

extern const struct accel_ops accel_kvm_ops;
