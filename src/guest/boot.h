/*
 * What process 1 of a guest does first: file systems, modules, a root that can be left
 * (pivot_root(2) refuses to leave the initramfs), the host name's and the clock's start values.
 */
#pragma once

#include "base/error.h"
#include "proto/agent.h"

int guest_boot(struct error *err);

/* Takes on what tells this guest from others: random numbers and the time. */
int guest_take_identity(const struct agent_welcome *welcome, struct error *err);

/* Powers the machine off; does not return. */
void guest_power_off(void) __attribute__((noreturn));
