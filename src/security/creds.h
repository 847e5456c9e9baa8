/*
 * Who the workload is: no_new_privs, bounding set, user and groups, capability sets, parent death
 * signal. Used by security.c only, which knows the order.
 */
#pragma once

#include <stdbool.h>

#include "plan/plan.h"
#include "security/caps.h"
#include "security/parts.h"

/* prctl(PR_SET_NO_NEW_PRIVS). */
void creds_step_no_new_privs(struct plan *plan, enum step_place place, const char *because);

/* Drops everything from the bounding set that is not in the mask. */
void creds_step_bounding(
        struct plan *plan, enum step_place place, const char *because, uint64_t mask);

/*
 * Groups, group id, user id, umask; the permitted capabilities are kept across it. Where setting
 * groups is switched off in the user namespace (rootless with one id) an empty list is passed over
 * when `own_userns` says that this can be.
 */
int creds_step_user(struct plan *plan, enum step_place place, const char *because,
        const struct security_user *user, bool own_userns, struct error *err);

/* capset(2) and, with `ambient`, the ambient set. */
void creds_step_caps(struct plan *plan, enum step_place place, const char *because,
        const struct caps_sets *sets, bool ambient);

/* prctl(PR_SET_PDEATHSIG): forgotten by the kernel at every change of credentials. */
void creds_step_death_signal(
        struct plan *plan, enum step_place place, const char *because, int number);
