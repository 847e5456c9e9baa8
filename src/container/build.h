/*
 * Configuration -> plan: the one place that reads the OCI types and turns them into the plain
 * structs of ns/, cgroup/, rootfs/ and security/, whose steps it puts in order. A pure function: it
 * touches nothing, and the same request gives the same plan.
 */
#pragma once

#include "cgroup/resctrl.h"
#include "cgroup/steps.h"
#include "container/gate.h"
#include "plan/plan.h"
#include "rootfs/rootfs.h"
#include "security/security.h"
#include "spec/spec.h"
#include "spec/state.h"

/* What the host is like, looked up once before building (host.h). */
struct container_host {
    const struct cgroup_layout *cgroups;
    uint64_t capabilities;    /* of this process, see caps_own() */
    unsigned last_capability; /* that this kernel has */
    bool no_kcore;            /* it has no /proc/kcore */
    bool rootless;            /* an ordinary user, or root of a user namespace */
    uid_t uid;                /* who runs viv */
    gid_t gid;
    bool id_helpers;           /* newuidmap(1) and newgidmap(1) are there */
    struct security_self self; /* our own program file */
    struct cgroup_systemd systemd;
};

/* Where steps of other modules join a new container's plan. */
enum container_point {
    CONTAINER_BEFORE_CHILD, /* host: nothing of the container is there yet */
    CONTAINER_WITH_CHILD,   /* host: its first process is there, with its new namespaces */
    CONTAINER_INSIDE,       /* child: it is root of its namespaces, still with the host's files */
};

/* Appends steps at one point; `data` is the request's. A pure function, as container_build() is. */
typedef int (*container_more_fn)(
        void *data, enum container_point point, struct plan *plan, struct error *err);

struct container_request {
    struct arena *arena; /* the plan's; everything below outlives it */
    const struct container_host *host;
    const struct spec *spec; /* checked */
    const char *id;
    const char *bundle;             /* absolute: relative paths of the configuration start here */
    int dir_fd;                     /* the sandbox's folder; -1 for a plan that is only told */
    const struct spec_state *state; /* for hooks and listeners, which are given the pid */

    enum cgroup_manager cgroup_manager;
    const char *default_cgroup; /* when the configuration names none */
    bool cgroup_strict;         /* a limit that cannot be set is an error */
    bool cgroup_delegate;       /* the sandbox may make cgroups of its own */

    const struct rootfs_overlay *layers; /* the root is made of them; NULL: it is a folder */
    bool idmap_root;                     /* the root through the sandbox's user namespace */
    bool wait_for_start;                 /* create: wait at the gate */
    bool die_with_host;                  /* the sandbox ends with this process */
    const char *console_socket;          /* path; NULL: none */
    int console_fd;                      /* connected already (foreground); -1: none */
    bool no_pivot;
    bool no_new_keyring;
    bool notify; /* make the folder of container/notify.h */
    unsigned preserve_fds;
    const char *config_text; /* spec as text, if there is one: kept beside the state */
    bool own_null;           /* streams that are the host's /dev/null become the container's */
    struct strv streams;     /* outside_stream_names() of whoever makes it; empty: not told */
    const struct seccomp_filter *seccomp; /* compiled from spec->linux.seccomp; NULL: none */
    bool unmasked_devices;                /* privileged: no device rules of our own */

    container_more_fn more; /* NULL: no steps but the container's own */
    void *more_data;
};

/* What the caller needs to know of the plan that was built. */
struct container_built {
    struct cgroup_result cgroup;
    struct resctrl_saved resctrl;
    int console_slot;     /* where a connected console socket goes; -1: there is no terminal */
    struct strv warnings; /* what was left out or made smaller, one sentence each */
};

/* Appends the whole plan of a new container. -EINVAL and so on: what the configuration cannot have,
 * with its JSON pointer. */
int container_build(const struct container_request *request, struct plan *plan,
        struct container_built *ret, struct error *err);

/* Appends what makes its control group alone, for a container whose processes are made by CRIU: all
 * in the host's place but, on v1, a scope's process's own entering. */
int container_build_group(const struct container_request *request, struct plan *plan,
        struct container_built *ret, struct error *err);

/* Mappings of a configuration, as maps of ids; in the arena. */
struct id_maps container_id_maps(struct arena *arena, const struct spec_id_mappings *from);

/* One more process in a running container. */
struct container_exec_request {
    struct arena *arena;
    const struct container_host *host;
    const struct spec_process *process;
    const char *process_at; /* "" when it came from a process.json */
    const char *id;
    pid_t init;          /* of the container, as the host sees it */
    uint64_t namespaces; /* CLONE_NEW* of the kinds to join, from container_exec_kinds() */
    const struct cgroup_saved *cgroup;
    const struct cgroup_sub_list *sub_cgroups; /* below the container's; NULL: its own */
    const struct spec_state *state;
    const char *console_socket; /* path; NULL: none */
    int console_fd;             /* connected already; -1: none */
    unsigned preserve_fds;
    bool die_with_host;
    const struct seccomp_filter *seccomp;
    const struct spec_seccomp *seccomp_config; /* for the listener; NULL: none */
};

/* As container_build(), for one more process in a container that runs. */
int container_build_exec(const struct container_exec_request *request, struct plan *plan,
        struct container_built *ret, struct error *err);
