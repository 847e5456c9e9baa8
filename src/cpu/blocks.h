/*
 * The cache of decoded code: blocks of operations, found by the guest-physical page that they lie
 * in, so that they outlive address spaces. A write to a line of memory that a block was decoded
 * from makes the CPU forget the page. For this folder only.
 */
#pragma once

#include "cpu/state.h"

int blocks_new(struct cpu_code **ret);
void blocks_free(struct cpu_code *code);

/* The operations at a linear address, decoded if need be, and remembered for jumps there. Raises
 * the faults of an instruction fetch. */
const struct op *blocks_find(struct cpu *cpu, uint64_t linear);

/* One instruction decoded for a single step: not kept. */
const struct op *blocks_single(struct cpu *cpu, uint64_t linear);

/* Forgets what was decoded from a page; false if that was nothing. */
bool blocks_forget_page(struct cpu *cpu, uint64_t gpa);

/* Forgets all. */
void blocks_forget_all(struct cpu *cpu);

/* Takes up what other CPUs and devices have posted. */
void blocks_take_posted(struct cpu *cpu);

/* Counts how often all was forgotten: pointers to operations kept across a look-up are stale when
 * it changes. */
uint64_t blocks_epoch(const struct cpu *cpu);
