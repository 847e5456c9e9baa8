/*
 * What a container's first process holds that is not the container's own: the streams that it was
 * given. A checkpoint cannot hold them, so that they are remembered by name, and those that lead to
 * nowhere are made the container's.
 *
 * Used by build, by whoever makes a container, and by checkpoint.
 */
#pragma once

#include "plan/plan.h"

#define OUTSIDE_STREAMS 3

/* What the streams 0 to 2 of this process are, as /proc/self/fd tells it ("pipe:[4711]"); in the
 * arena. Empty when none is a pipe, which is all that can be connected again. */
void outside_stream_names(struct arena *arena, struct strv *ret);

/* Appends the child's step, inside its root: streams that are the host's /dev/null become the
 * container's own, if that is the device; otherwise they stay what they are. */
void outside_null_step(struct plan *plan);
