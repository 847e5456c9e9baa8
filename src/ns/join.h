/*
 * Joining namespaces that exist: opened on the host, where their paths are seen, and entered by the
 * child. Appends steps; see ns/steps.h for their place in the order.
 */
#pragma once

#include "ns/namespaces.h"
#include "plan/plan.h"
#include "plan/run.h"

/* Host: opens every path to join into a new slot (set->of[kind].slot) and checks its kind by
 * ioctl_ns(2) NS_GET_NSTYPE: "…/ns/uts is a uts namespace, not a network namespace". */
void ns_add_open_joins(struct plan *plan, struct ns_set *set);

/* Child: setns(2) into each joined namespace but PID, in the order of enum ns_kind. */
void ns_add_joins(struct plan *plan, const struct ns_set *set);

/*
 * For the step that makes the child: a joined PID namespace takes the children of the caller only,
 * so the host's process enters it for the clone and goes back. `*saved` is a descriptor between the
 * two calls; both do nothing when no PID namespace is joined. ns_pid_calls adds the calls of both
 * to a description: before and after the clone.
 */
int ns_pid_enter(
        const struct ns_set *set, const struct plan_run *run, int *saved, struct error *err);
int ns_pid_return(int *saved, struct error *err);
void ns_pid_calls(const struct ns_set *set, bool enter, struct step_text *text);
