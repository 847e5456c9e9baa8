/*
 * A vCPU's state between KVM's structs and ours. Used by accel_kvm.c only.
 */
#pragma once

#include "base/error.h"
#include "vm/accel.h"

int kvm_state_get(int vcpu_fd, struct accel_vcpu_state *ret, struct error *err);
int kvm_state_set(int vcpu_fd, const struct accel_vcpu_state *state, struct error *err);
