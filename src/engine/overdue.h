/* A sandbox that was killed and does not end: who keeps it. */
#pragma once

#include "engine/engine.h"

/*
 * The first process of a sandbox ends when all of its pid namespace have been reaped; one of `viv
 * exec` is the child of a process outside, which may not do so. -EBUSY and who that is; if it is
 * nobody, 0, unless this was the `last` look.
 */
int overdue_process(pid_t pid, const char *name, bool last, struct error *err);

/* -EBUSY, of a sandbox whose monitor has not tidied up behind it. */
int overdue_monitor(const struct sandbox *sandbox, struct error *err);
