/*
 * The steps about namespaces. Each function appends to a plan; `because` is the JSON pointer of the
 * line that asked for it ("" when it is always done) and lives as long as the plan's arena, as do
 * all strings and lists handed over. Slots are descriptors in plan_run.fds, see plan_new_slot().
 *
 * Making the child (clone3) is the caller's. The order that works:
 *
 *   host   ns_add_open_joins            descriptors of what is joined, kinds checked
 *   host   (clone3, within ns_pid_enter and ns_pid_return when a PID namespace is joined)
 *   host   ns_add_id_maps               while the child waits
 *   child  ns_add_joins                 user first
 *   child  ns_add_unshare               new ones that a joined user namespace has to own
 *   child  ns_add_become_root
 *   child  (attach to cgroups), ns_add_unshare_cgroup
 *   child  rootfs' handle on procfs, then ns_add_time, ns_add_sysctl
 *   child  ns_add_loopback, ns_add_hostname, ns_add_domainname
 *   host   ns_add_net_device
 */
#pragma once

#include "ns/device.h"
#include "ns/idmap.h"
#include "ns/join.h"
#include "ns/namespaces.h"
#include "plan/plan.h"

/* How /proc/PID/uid_map and gid_map are written. */
enum ns_map_writer {
    NS_MAP_DIRECT, /* by this process, which has CAP_SETUID and CAP_SETGID */
    NS_MAP_HELPERS /* by newuidmap(1) and newgidmap(1), set-uid programs that check /etc/subuid */
};

/* Host: writes the child's maps. With one line that maps the caller's own id and no privilege, use
 * NS_MAP_DIRECT too; `deny_setgroups` is then needed first (user_namespaces(7)). */
struct ns_id_maps {
    struct id_maps uids;
    struct id_maps gids;
    bool deny_setgroups;
    enum ns_map_writer writer;
};
void ns_add_id_maps(struct plan *plan, const struct ns_id_maps *maps, const char *because);

/* Writes them for a process that is in a new user namespace. */
int ns_write_id_maps(const struct ns_id_maps *maps, pid_t pid, struct error *err);

/* Child: uid and gid 0 of the user namespace, supplementary groups dropped unless `keep_groups`. */
void ns_add_become_root(struct plan *plan, bool keep_groups, const char *because);

/* Child: unshare(2). `ns_add_unshare_cgroup` belongs behind the attach to the cgroups. */
void ns_add_unshare(struct plan *plan, uint64_t flags, const char *because);
void ns_add_unshare_cgroup(struct plan *plan, const char *because);

/* One clock's offset; time_namespaces(7). */
struct ns_clock_offset {
    const char *clock; /* "monotonic" or "boottime" */
    int64_t seconds;
    uint32_t nanoseconds;
};

/* Child: a new time namespace with these offsets, entered at once (no second fork). `proc_slot`
 * holds a handle on procfs. The child must have one thread. */
void ns_add_time(struct plan *plan, const struct ns_clock_offset *offsets, size_t count,
        int proc_slot, const char *because);

/* Child: sethostname(2), setdomainname(2). */
void ns_add_hostname(struct plan *plan, const char *name, const char *because);
void ns_add_domainname(struct plan *plan, const char *name, const char *because);

/* Child: writes a sysctl through the procfs handle; "net.ipv4.ip_forward" and the form with slashes
 * are both taken. `check` says before the run whether the key belongs to a namespace of `set` that
 * is the sandbox's own, since another key would change the host: -EINVAL. */
int ns_sysctl_check(const struct ns_set *set, const char *key, struct error *err);
void ns_add_sysctl(
        struct plan *plan, const char *key, const char *value, int proc_slot, const char *because);
