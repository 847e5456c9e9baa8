#include "ns/namespaces.h"

#include <linux/sched.h>
#include <stdio.h>

#include "base/cleanup.h"
#include "base/str.h"

const struct ns_kind_info ns_kinds[NS_KINDS] = {
        [NS_USER] = {"user", "user", "user", "CLONE_NEWUSER", CLONE_NEWUSER,
                "user and group ids of its own: id 0 inside is an ordinary id outside"},
        [NS_CGROUP] = {"cgroup", "cgroup", "cgroup", "CLONE_NEWCGROUP", CLONE_NEWCGROUP,
                "its own control group as the root of all it can see"},
        [NS_IPC] = {"IPC", "ipc", "ipc", "CLONE_NEWIPC", CLONE_NEWIPC,
                "System V and POSIX message queues, semaphores and shared memory of its own"},
        [NS_UTS] = {"UTS", "uts", "uts", "CLONE_NEWUTS", CLONE_NEWUTS,
                "a host name and a domain name of its own"},
        [NS_NET] = {"network", "network", "net", "CLONE_NEWNET", CLONE_NEWNET,
                "interfaces, addresses, routes and firewall of its own"},
        [NS_PID] = {"PID", "pid", "pid", "CLONE_NEWPID", CLONE_NEWPID,
                "process ids of its own: the workload is process 1 and sees no other"},
        [NS_TIME] = {"time", "time", "time", "CLONE_NEWTIME", CLONE_NEWTIME,
                "offsets of its own for the monotonic and the boot clock"},
        [NS_MNT] = {"mount", "mount", "mnt", "CLONE_NEWNS", CLONE_NEWNS, "a mount tree of its own"},
};

int ns_kind_from_name(const char *name)
{
    for (int kind = 0; kind < NS_KINDS; kind++)
        if (str_equal(ns_kinds[kind].oci, name) || str_equal(ns_kinds[kind].file, name))
            return kind;
    return -1;
}

int ns_kind_from_flag(uint64_t flag)
{
    for (int kind = 0; kind < NS_KINDS; kind++)
        if (ns_kinds[kind].flag == flag)
            return kind;
    return -1;
}

const char *ns_flags_text(uint64_t flags, char text[NS_FLAGS_TEXT_MAX])
{
    size_t length = 0;

    snprintf(text, NS_FLAGS_TEXT_MAX, "0");
    for (int kind = 0; kind < NS_KINDS; kind++) {
        if (!(flags & ns_kinds[kind].flag))
            continue;
        length += (size_t)snprintf(text + length, NS_FLAGS_TEXT_MAX - length, "%s%s",
                length ? "|" : "", ns_kinds[kind].symbol);
    }
    return text;
}

uint64_t ns_set_flags(const struct ns_set *set, enum ns_mode mode)
{
    uint64_t flags = 0;

    for (int kind = 0; kind < NS_KINDS; kind++)
        if (set->of[kind].mode == mode)
            flags |= ns_kinds[kind].flag;
    return flags;
}

void ns_set_split(const struct ns_set *set, uint64_t *ret_clone, uint64_t *ret_unshare)
{
    uint64_t made = ns_set_flags(set, NS_NEW) & ~(uint64_t)(CLONE_NEWTIME | CLONE_NEWCGROUP);
    bool late = set->of[NS_USER].mode == NS_JOIN;

    *ret_clone = late ? made & CLONE_NEWPID : made;
    *ret_unshare = late ? made & ~(uint64_t)CLONE_NEWPID : 0;
}
