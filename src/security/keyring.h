/* The workload's own session keyring, so that it does not see the caller's keys. See keyrings(7).
 * Used by security.c only. */
#pragma once

#include "plan/plan.h"

/* Joins a new session keyring called `_ses.<id>`, as runc names it, and lets its user search it. */
void keyring_step(struct plan *plan, enum step_place place, const char *because, const char *id);
