/*
 * Stack frames that the CPU builds by itself, for a handler or for the procedure behind a call
 * gate: on the stack in use, or on an inner one that the task state names. Nothing of the CPU
 * changes until all of a frame is written. For this folder only.
 */
#pragma once

#include "cpu/state.h"

struct frame {
    uint64_t rsp, base, mask;
    struct cpu_segment ss;
    bool flat;        /* of 64-bit code: no base, no limit */
    bool user_rights; /* pushed with the privilege of level 3 */
    unsigned bytes;   /* of what is pushed */
    uint32_t fault;   /* error code of #SS for what does not fit */
};

/* Writes a value of the frame's size below what it has; raises what the access raises, and #SS. */
void frame_push(struct cpu *cpu, struct frame *frame, uint64_t value);

/* `ext` in these is the lowest bit of error codes: an event from outside is being delivered. */

/* The stack in use, outside 64-bit code. */
struct frame frame_here(const struct cpu *cpu, unsigned bytes, uint32_t ext);

/* The stack that a 16- or 32-bit task state has for a privilege level. #TS, #SS. */
struct frame frame_inner(struct cpu *cpu, unsigned level, unsigned bytes, uint32_t ext);

/* For 64-bit code at a level: the stack in use if that is the CPU's, else the task state's; with
 * `ist` (1-7) that entry of the interrupt stack table. #TS. */
struct frame frame_long(struct cpu *cpu, unsigned level, unsigned ist, uint32_t ext);
