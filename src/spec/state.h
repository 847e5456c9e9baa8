/*
 * A container's state as the specification (runtime.md#state) and runc's `state` command write it:
 * on the standard input of hooks, to seccomp agents, and for engines that ask. The runtime's own
 * book-keeping is not here: it belongs to container/store.
 */
#pragma once

#include "base/record.h"

enum spec_status {
    SPEC_CREATING,
    SPEC_CREATED,
    SPEC_RUNNING,
    SPEC_PAUSED, /* runc's and crun's addition */
    SPEC_STOPPED,
    SPEC_STATUSES
};

struct spec_state {
    const char *ociVersion;
    const char *id;
    const char *status;
    int pid; /* 0 when stopped */
    const char *bundle;
    struct record_map annotations;

    /* what runc's `state` and `list` add */
    const char *rootfs;
    const char *created; /* RFC 3339, UTC, nanoseconds */
    const char *owner;
};

/* runtime.md#state's "container process state", sent to a seccomp agent (config-linux.md). */
struct spec_process_state {
    const char *ociVersion;
    struct strv fds; /* "seccompFd" */
    int pid;
    const char *metadata;
    struct spec_state state;
};

/* "creating", "created", "running", "paused", "stopped". */
const char *spec_status_name(enum spec_status status);

/* The specification's members alone, for hooks and agents. The object belongs to the caller. */
struct json_object *spec_state_write(const struct spec_state *state);

/* All of them, in the order of runc's `state`. */
struct json_object *spec_state_write_full(const struct spec_state *state);

/* Appends the text of that object: many are listed faster. */
void spec_state_print_full(const struct spec_state *state, struct buf *into);

/* The state that a seccomp agent receives. The object belongs to the caller. */
struct json_object *spec_process_state_write(const struct spec_process_state *state);

/* Reads either; a status that the specification does not know and an id that is empty are faults
 * too. */
void spec_state_read(
        struct json_object *json, struct spec_state *into, struct record_report *report);
