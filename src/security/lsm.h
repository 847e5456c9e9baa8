/* AppArmor profiles and SELinux labels for the program that is executed next, through a verified
 * procfs. See apparmor(7), selinux(8). Used by security.c only. */
#pragma once

#include "plan/plan.h"

/* "exec <profile>" to attr/apparmor/exec. Its failure says which module this kernel lacks. */
int lsm_step_apparmor(struct plan *plan, enum step_place place, const char *because, int proc_slot,
        const char *profile, struct error *err);

/* The label to attr/exec. */
int lsm_step_selinux(struct plan *plan, enum step_place place, const char *because, int proc_slot,
        const char *label, struct error *err);

/* The labels' other half: keys that are made get this label too. */
int lsm_step_selinux_keys(struct plan *plan, enum step_place place, const char *because,
        int proc_slot, const char *label, struct error *err);
