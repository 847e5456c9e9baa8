/*
 * Landlock: which paths below the root the workload may use, enforced by itself on itself and
 * everything that it starts. See landlock(7). Used by security.c only.
 */
#pragma once

#include "plan/plan.h"
#include "security/parts.h"

/* Opens the paths and makes the ruleset, into the slot. Paths are those of the changed root. */
int landlock_step_rules(struct plan *plan, enum step_place place, const char *because,
        const struct security_landlock *landlock, int slot, struct error *err);

/* Puts the ruleset in the slot into force. */
void landlock_step_restrict(
        struct plan *plan, enum step_place place, const char *because, int slot);
