/* Ports: the permission check and the way to the machine. For this folder only. */
#pragma once

#include "cpu/state.h"

/* #GP(0) when the privilege level is above IOPL and the task's bitmap does not allow the ports. */
void port_check(struct cpu *cpu, const struct op *op, uint16_t port, unsigned bytes);
uint32_t port_read(struct cpu *cpu, uint16_t port, unsigned bytes);
void port_write(struct cpu *cpu, uint16_t port, uint32_t value, unsigned bytes);
