/*
 * Walking one cgroup directory and those below it: which processes, and taking it all away. Used by
 * group.h and by the undo of steps.h. Depth and time are bounded.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "base/arena.h"
#include "base/error.h"

#define CGROUP_DEPTH_MAX 64

/* Called for a directory of a cgroup tree; the deepest come first. Negative ends the walk. */
typedef int (*cgroup_visit)(const char *dir, void *data);

/* -ENOENT when the directory is gone, -ELOOP beyond CGROUP_DEPTH_MAX, or what visit gave. */
int cgroup_walk(const char *dir, cgroup_visit visit, void *data);

/* Called for each process of one cgroup (not of those below); 0 for one of another PID namespace.
 */
typedef int (*cgroup_visit_pid)(pid_t pid, void *data);

/* Reads cgroup.procs (for a threaded one cgroup.threads). */
int cgroup_each_pid(const char *dir, cgroup_visit_pid visit, void *data);

/* Whether the cgroup itself has a process: 1, 0 or negative errno. */
int cgroup_has_process(const char *dir);

/* SIGKILL to all in the tree, wherever frozen: by cgroup.kill if the directory has it, else one by
 * one; a v1 freezer is thawed. -errno of the first failure other than that a process has gone. */
int cgroup_kill_tree(const char *dir);

/* Removes the tree; what is inside is killed and waited for, until `deadline_us` of
 * CLOCK_MONOTONIC. -EBUSY, and err says who is left. Gone already: 0. */
int cgroup_remove_tree(const char *dir, int64_t deadline_us, struct error *err);

/* Microseconds of CLOCK_MONOTONIC. */
int64_t cgroup_now_us(void);

/* Waits a little before the next look, longer each time: *turn starts at 0. */
void cgroup_pause(unsigned *turn);
