/*
 * What is remembered of a container between two commands: state.json in its folder of the store.
 * Small, since start, state, kill and delete all read it; the configuration stands beside it in
 * config.json.
 */
#pragma once

#include "cgroup/resctrl.h"
#include "cgroup/saved.h"
#include "spec/spec.h"
#include "spec/state.h"

struct container_state {
    const char *ociVersion;
    const char *id;
    const char *bundle;
    const char *rootfs;
    const char *created; /* RFC 3339 */
    const char *owner;   /* the user's name, or the uid as text */
    struct record_map annotations;

    const char *isolation; /* "vm": `pid` stands for a process in a machine; NULL: a container */
    bool making;           /* not done yet, or its maker was killed */
    int pid;               /* of the container's first process, as the host sees it */
    uint64_t start_time;   /* of that process: tells it from another one with the same pid */
    uint64_t namespaces;   /* CLONE_NEW* of the kinds that are not the host's, for exec */
    bool own_pids;         /* its first process takes all others along when it ends */
    struct strv streams;   /* pipes that it was given as its streams, by name; "": another thing */
    struct cgroup_saved cgroup;
    struct resctrl_saved resctrl;
    struct spec_hook_list poststart;
    struct spec_hook_list poststop;
};

/* Writes or reads state.json in the container's folder. */
int container_state_save(int dir_fd, const struct container_state *state, struct error *err);
int container_state_load(
        int dir_fd, struct arena *arena, struct container_state *ret, struct error *err);

/*
 * The same in one readlink(2) for lists of many: what the specification's state holds, and what its
 * status is found by. `folder` is the container's in the store. 1; 0 when annotations are missing,
 * which have no room there; -ENOENT: it has to be read from state.json.
 */
int container_state_glance(
        int store_fd, const char *folder, struct arena *arena, struct container_state *ret);

/* Its text and back, the id left out. Printing fails where it does not fit, or a value has a line
 * feed; parsing returns what container_state_glance() does. */
bool container_state_glance_print(const struct container_state *state, char *text, size_t size);
int container_state_glance_parse(
        const char *text, size_t length, struct arena *arena, struct container_state *ret);

/* Takes it from the text of state.json. */
int container_state_parse(const char *text, size_t length, struct arena *arena,
        struct container_state *ret, struct error *err);

/* The state as the specification has it, with this status. Strings are borrowed. */
void container_state_as_spec(
        const struct container_state *state, enum spec_status status, struct spec_state *ret);

/* "2026-11-22T10:11:12.123456789Z", now. */
char *container_now_text(struct arena *arena);
