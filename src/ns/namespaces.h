/*
 * The eight kinds of namespaces, namespaces(7), as a table, and for one sandbox the choice made for
 * each: the host's, a new one, or one that exists and is joined by path. Plain data; the steps that
 * act on it are in ns/steps.h.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

/* In the order in which they are joined: the user namespace first, since it gives the capabilities
 * for the others; the mount namespace last, since the paths of the rest are gone behind it. */
enum ns_kind { NS_USER, NS_CGROUP, NS_IPC, NS_UTS, NS_NET, NS_PID, NS_TIME, NS_MNT, NS_KINDS };

struct ns_kind_info {
    const char *name;   /* in messages: "network" */
    const char *oci;    /* in the runtime specification: "network", "mount" */
    const char *file;   /* below /proc/PID/ns: "net", "mnt" */
    const char *symbol; /* "CLONE_NEWNET" */
    uint64_t flag;      /* CLONE_NEWNET */
    const char *gives;  /* one plain sentence: what the workload sees of it */
};

extern const struct ns_kind_info ns_kinds[NS_KINDS];

/* The kind by its OCI name or its /proc name, or by its flag; -1 when there is none. */
int ns_kind_from_name(const char *name);
int ns_kind_from_flag(uint64_t flag);

/* "CLONE_NEWNS|CLONE_NEWPID" into the text, "0" for none. */
#define NS_FLAGS_TEXT_MAX 160
const char *ns_flags_text(uint64_t flags, char text[NS_FLAGS_TEXT_MAX]);

enum ns_mode {
    NS_HOST, /* stays in the namespace that viv runs in */
    NS_NEW,
    NS_JOIN
};

struct ns_choice {
    enum ns_mode mode;
    const char *path;    /* NS_JOIN: "/proc/77/ns/net", "/run/netns/x" */
    const char *because; /* JSON pointer; NULL: "" */
    int slot;            /* NS_JOIN: where the open step puts it (ns_add_open_joins) */
};

struct ns_set {
    struct ns_choice of[NS_KINDS];
};

/* The flags of all kinds with this choice. */
uint64_t ns_set_flags(const struct ns_set *set, enum ns_mode mode);

/*
 * The new namespaces split by who has to make them. `ret_clone` is for clone3; time is never in it
 * (CLONE_NEWTIME shares its bit with the exit signal of old clones, and offsets must be written
 * first), nor is cgroup (it is rooted where the process is, so it comes after the attach). When a
 * user namespace is joined, the other new ones have to belong to it, so they go to `ret_unshare`,
 * for after the join; a new PID namespace stays in `ret_clone`, because only a child of the
 * unsharing process would be in it.
 */
void ns_set_split(const struct ns_set *set, uint64_t *ret_clone, uint64_t *ret_unshare);
