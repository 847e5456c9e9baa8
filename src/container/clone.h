/*
 * The step that makes the child: one clone3(2) with all new namespaces, straight into its v2
 * control group, and the channel over which the plan goes on inside it.
 *
 * New time and cgroup namespaces are not made here but by steps of ns/, since both want something
 * done first. A joined user namespace is entered by a process in between, which makes the child:
 * then the child's other namespaces belong to it.
 *
 * Used by build (a new container) and by exec (a further process in one).
 */
#pragma once

#include "plan/plan.h"

struct container_clone {
    uint64_t new_kinds; /* CLONE_NEW*; time and cgroup are left out */
    /* Joined before the child is made: descriptors of a namespace or of a process in it; -1: none.
     */
    int user_slot;
    int pid_slot;
    bool rootless;      /* without privilege over the host's namespaces */
    int cgroup_slot;    /* descriptor of the v2 group to be born in; -1: none */
    bool die_with_host; /* the child is killed when the host's process ends */
    bool hide;          /* from processes that it shares a PID namespace with: not dumpable */
};

/* Appends the step; the args are copied. */
void container_clone_step(
        struct plan *plan, const struct container_clone *args, const char *because);
