/*
 * What a workload may do, and the one order in which that is put in place. container/build fills
 * struct security from a configuration and appends the groups of steps below, each at its place:
 *
 *   security_steps_connect   host, before the child exists: the seccomp agent's socket
 *   security_steps_limits    host or child, once the child exists and is in its control group:
 *                            affinity, OOM score, rlimits, scheduler, I/O priority. From the host
 *                            when the child has a user namespace of its own, since raising any of
 *                            these asks for capabilities in the first user namespace
 *   security_steps_session   child, inside its namespaces, before the mounts: session keyring
 *   security_steps_confine   child, after the root has been changed and before it is "created":
 *                            personality, memory policy, Landlock rules opened, no_new_privs,
 *                            AppArmor and SELinux labels for the next execve, bounding set, user,
 *                            capabilities, parent death signal, working directory, the program
 *                            found, descriptors close-on-exec
 *   (the caller's: created; wait for start; startContainer hooks)
 *   security_steps_enter     child, last of the plan: Landlock, seccomp, the last capability,
 *                            execve
 *
 * Why so: labels and Landlock's rules need rights and paths that the user may not have. The user
 * is changed with PR_SET_KEEPCAPS, so that ambient capabilities of other users than root work, and
 * the program is found with exactly the workload's rights. Seccomp comes after everything else so
 * that a profile need not allow what the runtime itself calls; without no_new_privs loading it asks
 * for CAP_SYS_ADMIN, which is then kept in the permitted set until the filter is in place, and
 * dropped by the one capset(2) that follows. Between the filter and execve nothing else is called.
 *
 * The same holds for other places: `place` is STEP_CHILD or, in a machine, STEP_GUEST.
 *
 * All functions return 0 or negative with the error filled: a name that does not exist, a value out
 * of range, something that this kernel does not have. Strings and lists are borrowed and must live
 * as long as the plan's arena.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "plan/plan.h"
#include "security/caps.h"
#include "security/parts.h"
#include "security/seccomp.h"
#include "security/self.h"

struct program_args;

struct security {
    const char *id;         /* the container's, for the keyring's name */
    const char *process_at; /* JSON pointer of the process: "/process", or "" in a process.json */
    const char *linux_at;   /* "/linux" */
    bool own_userns;        /* the workload is in a user namespace that was made for it */

    /* Slot with a verified procfs of the host's PID namespace (a directory descriptor); -1 if
     * there is none, which is an error where one is needed (OOM score, labels, listener). */
    int proc_slot;

    /* limits */
    struct opt_i64 oom_score_adj;
    RECORD_LIST(struct security_rlimit) rlimits;
    const struct security_scheduler *scheduler; /* NULL: left alone; and so below */
    const struct security_io_priority *io_priority;
    const char *affinity; /* execCPUAffinity.final as a list, "0-3,7" */

    /* session */
    bool no_new_keyring;

    /* confine */
    const struct security_personality *personality;
    const struct security_memory_policy *memory_policy;
    const struct security_landlock *landlock;
    bool no_new_privileges;
    const char *apparmor_profile;
    const char *selinux_label;
    struct caps_sets capabilities; /* after caps_sets_fit() */
    struct security_user user;
    int death_signal; /* sent when the parent dies, set again after the credentials; 0: none */
    const char *cwd;
    struct strv args;          /* the workload's */
    struct strv env;           /* PATH is what args[0] is looked up in; HOME is added if missing */
    unsigned preserve_fds;     /* so many descriptors from 3 on stay open, LISTEN_FDS included */
    struct security_self self; /* our own program, never executed inside; zero: not checked */

    /* enter */
    const struct seccomp_filter *seccomp; /* NULL: none */
    struct security_listener listener;

    /* Filled by security_steps_connect and security_steps_confine, for the later groups. */
    int listener_slot;
    int landlock_slot;
    struct program_args *program;
};

/* Start values: slots at -1. */
void security_init(struct security *security);

/* The groups of steps, in the order in which they are added to a plan. */
int security_steps_connect(struct plan *plan, struct security *security, struct error *err);
int security_steps_limits(struct plan *plan, enum step_place place, const struct security *security,
        struct error *err);
int security_steps_session(struct plan *plan, enum step_place place,
        const struct security *security, struct error *err);
int security_steps_confine(
        struct plan *plan, enum step_place place, struct security *security, struct error *err);
int security_steps_enter(struct plan *plan, enum step_place place, const struct security *security,
        struct error *err);

/* One more affinity step, for execCPUAffinity.initial: for this process before it makes the child,
 * or in the child before it enters the control group. */
int security_step_affinity(struct plan *plan, enum step_place place, const char *because,
        const char *cpus, struct error *err);
