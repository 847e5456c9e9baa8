/*
 * Signals that come before there is anybody to pass them on to. Between the moment at which a
 * workload runs and the one at which its parent listens, a SIGTERM would end the parent alone.
 */
#pragma once

#include <signal.h>

/*
 * From now on the first of each of these signals is kept, and a second one acts as usual, so that
 * what hangs can still be ended. Signals that are ignored or have a handler stay as they are.
 */
void hold_signals(const sigset_t *set);

/*
 * Ends it. What was kept is raised now: a signal that is blocked waits for who reads it, any other
 * acts as usual. loop_add_signals() calls this when it has blocked its own.
 */
void hold_end(void);
