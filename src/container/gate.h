/*
 * The gate between create and start: the child of a created container waits at it, and start opens
 * it. Two FIFOs in the sandbox's folder, both opened before the child exists, so that the child
 * opens no path of the host: "start" carries one byte to the child, "report" carries the text of
 * what went wrong behind the gate back, or just ends when the workload has taken over.
 */
#pragma once

#include "plan/plan.h"

struct container_gate {
    int dir_fd; /* the sandbox's folder; the caller's */
    int start_slot;
    int report_slot;
};

/* Appends the host step that makes the FIFOs; fills in the slots. */
void container_gate_make_step(struct plan *plan, struct container_gate *gate);

/* Appends the child step that lets the host go and waits. */
void container_gate_wait_step(struct plan *plan, const struct container_gate *gate);

/* Whether a container waits here: created, not started. */
bool container_gate_is_closed(int dir_fd);
bool container_gate_is_closed_in(int store_fd, const char *folder);

/* Opens the gate and waits until the workload runs, or for the error of the steps behind the gate.
 * -ENOENT when nobody waits. */
int container_gate_open(int dir_fd, struct error *err);

/*
 * For a container whose maker was killed before it could note the child's pid: sends away whoever
 * waits at the gate, and waits until nobody holds it open any more. 0, also when there is no gate;
 * -ETIMEDOUT.
 */
int container_gate_abandon(int dir_fd, unsigned timeout_ms, struct error *err);
