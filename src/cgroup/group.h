/*
 * An existing control group, found again from its saved state: changing, freezing, killing, listing
 * and removing it. container/ calls this; nothing here waits without a bound, whatever state the
 * group is in.
 */
#pragma once

#include <sys/types.h>

#include "cgroup/limits.h"
#include "cgroup/saved.h"

/*
 * Sets the limits that are present, in an order that fits both raising and lowering; v2 device
 * rules are replaced in one go. `pointer` ("/linux/resources", "" for none) is put in front of the
 * limit's name in errors. With check_before_update, a memory limit below the present use is -EBUSY
 * and nothing was changed.
 */
int cgroup_update(const struct cgroup_saved *saved, const struct cgroup_limits *limits,
        const char *pointer, struct error *err);

/* Moves a process with its threads into the group, wherever it is. */
int cgroup_move(const struct cgroup_saved *saved, pid_t pid, struct error *err);

/* Freezes or thaws all processes of the group and waits for it, at most `timeout_ms`; -ETIMEDOUT
 * when the kernel did not get all of them to stop, and the group is thawed again. */
int cgroup_freeze(const struct cgroup_saved *saved, unsigned timeout_ms, struct error *err);
int cgroup_thaw(const struct cgroup_saved *saved, unsigned timeout_ms, struct error *err);

/* 1 when frozen or on the way there, 0 when not, negative errno. */
int cgroup_is_frozen(const struct cgroup_saved *saved);

/*
 * Sends the signal to every process of the group and of those below it. SIGKILL takes effect on
 * frozen groups too, and no process escapes by forking: cgroup.kill on v2, freeze, kill, thaw on
 * v1. Does not wait for their end.
 */
int cgroup_kill(const struct cgroup_saved *saved, int signal, struct error *err);

struct cgroup_pids {
    pid_t *items;
    size_t count;
    size_t capacity;
};

/* The processes of the group and of those below it, as this process's PID namespace numbers them
 * (those of other namespaces are left out). -ENOENT when the group is gone. */
int cgroup_list(const struct cgroup_saved *saved, struct arena *arena, struct cgroup_pids *ret,
        struct error *err);

/*
 * Removes the group and all below it. What is still inside is killed and waited for, for at most
 * `timeout_ms`; after that -EBUSY, and the error says which processes are left, in what state. A
 * group that is gone already is fine.
 */
int cgroup_remove(const struct cgroup_saved *saved, unsigned timeout_ms, struct error *err);

/* How many processes of the group the kernel has killed for want of memory. 0 or negative errno. */
int cgroup_oom_kills(const struct cgroup_saved *saved, uint64_t *ret_count);

/*
 * The same for who asks when all processes have ended: systemd removes a scope at that moment, and
 * may be quicker. On v2 its slice counts what is killed below it and outlives it.
 */
struct cgroup_oom_mark {
    uint64_t own;   /* killed in the group */
    uint64_t above; /* killed in the scope's slice and all below that */
};

/* Counts while the workload runs. */
void cgroup_oom_mark(const struct cgroup_saved *saved, struct cgroup_oom_mark *ret);

/* How many were killed in all. Of a scope that is gone: those up to the mark, and those since then
 * below its slice, which other scopes in it may have had a part in. */
uint64_t cgroup_oom_kills_since(
        const struct cgroup_saved *saved, const struct cgroup_oom_mark *mark);

/* A descriptor that becomes readable when the group runs out of memory (v1: eventfd, v2: inotify on
 * memory.events); belongs to the caller. */
int cgroup_oom_watch(const struct cgroup_saved *saved, int *ret_fd, struct error *err);
