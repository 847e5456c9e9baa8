/*
 * Workloads in a machine: `--isolation vm`. On the host the workload is one process, viv-shim, with
 * its streams, its exit status and a control group that holds viv-vmm too, so that what watches,
 * stops and counts containers does the same here. Inside, viv-agent applies the plan that a
 * container would have (container/guest.h).
 */
#pragma once

#include "container/container.h"
#include "container/guest.h"
#include "engine/template.h"
#include "net/found.h"
#include "ns/namespaces.h"
#include "proto/agent.h"
#include "proto/machine.h"
#include "rootfs/rechown.h"

#define VM_NETWORKS_MAX 8
#define VM_SPARE_NETWORKS 2       /* that a machine on networks can join while it runs */
#define VM_UPPER_TAG "upper"      /* the share of the root's changes */
#define VM_FILES_TAG "files"      /* the share of single files */
#define VM_SOCKET "vsock.sock"    /* in the sandbox's folder: leads to the agent */
#define VM_CONTROL "control.sock" /* beside it: leads to viv-vmm, see proto/control.h */

struct sandbox_networks;

/* What a network device of a machine was behind when a snapshot was taken. */
struct vm_net_device {
    const char *device;  /* the address that it was made with */
    const char *network; /* NULL: it was spare */
};

/* The snapshot that a machine goes on from, in place of booting. */
struct vm_going_on {
    int snapshot; /* the file; viv-vmm verifies it */
    const char *name;
    uint64_t root_checksum; /* vm_root.h */
    struct agent_resume passed;
    RECORD_LIST(struct vm_net_device) devices; /* none: one for each network, in their order */
    struct agent_resumed from;                 /* filled: what the agent says */
};

struct vm_config {
    const char *accel;      /* "auto", "kvm", "emu"; NULL: auto */
    bool portable;          /* its guest is shown only CPU features that kvm and emu both have */
    const char *kernel;     /* a folder like share/viv/guest; NULL: that one */
    const char *root;       /* an erofs image, the root below an overlay; with root_fd its name */
    int root_fd;            /* the image, opened; -1: by its path */
    uint64_t root_checksum; /* vm_root.h; 0: not known yet */
    const char *upper;      /* a folder of the root's changes (vm_upper.h); NULL: they pass */
    const char *templates;  /* the folder of templates (template.h); NULL: none are used */
    uint32_t id_first;      /* root: the ids that viv-vmm gets (idrange.h) */
    struct sandbox_networks *networks; /* engine/network.h; NULL: none */
    bool pasta;                        /* asked for, and refused */
    bool shared_network;               /* the namespace to join is another sandbox's: refused */
    struct vm_going_on *going_on;      /* NULL: it begins anew */
    bool interactive;                  /* standard input is passed on */
    int status_fd;                     /* where the end is written to (agent_exit); -1: nowhere */
};

/* A file of the host that is shared: one, however often it is mounted. */
struct vm_file {
    const char *source;
    dev_t dev; /* both 0: it is yet to be made */
    ino_t ino;
    bool read_only; /* everywhere */
};

/* What "U" asks for. */
struct vm_given {
    struct rechown rechown;
    const char *because;
};

/* What a machine's plan is made of. */
struct vm {
    struct container_request *request; /* the host's: the user's configuration */
    const struct vm_config *config;
    struct container_making *making; /* what is filled */
    struct arena *arena;

    struct spec guest_spec;
    struct container_guest guest;
    struct proto_machine machine;
    RECORD_LIST(struct vm_file) files;
    RECORD_LIST(struct vm_given) given;
    size_t guest_from, guest_to; /* steps of the guest */
    bool agent_plans_alike;      /* the agent is of the same sources: it need not compare plans */
    char digest[CONTAINER_DIGEST_SIZE];

    const char *shim, *vmm; /* the programs */
    struct ns_set outside;  /* vm_joined.h: the network namespace on the host's side */
    struct found found;     /* once it was read: what it has */
    struct template template;
    int host_slot, vmm_slot, listen_slot, control_slot, log_slot, log_end_slot, status_slot;
    int uncaged_slot; /* an event: viv-vmm is in no sandbox of its own */
    int template_slot, tap_slots[VM_NETWORKS_MAX];
    int net_of[VM_NETWORKS_MAX]; /* of each network device: which tap; -1: it is spare */
    bool greeted, sent;
    bool uncaged; /* known once it has greeted */
    struct container_gate gate;
};

/* For explain: the plan, and nothing is touched. */
int vm_plan(struct container_request *request, const struct vm_config *config,
        struct container_making *ret, struct error *err);

/* As container_make_in(). */
int vm_make(struct container_request *request, const struct vm_config *config,
        const struct container_apply *apply, struct container_making *ret, struct error *err);

/* What a machine's end has left in the pipe of status_fd; all zero when that is nothing. */
struct agent_exit vm_read_end(int status_fd);
