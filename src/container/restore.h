/*
 * A container made from what checkpoint.h wrote, by CRIU. Its control group is made and its device
 * rules are in force before its first process is there; prestart and createRuntime hooks run, as
 * runc has it, once its namespaces are there; its terminal goes to the console socket. What it has
 * in the bundle's configuration by now counts, not what it had when it was written.
 */
#pragma once

#include "container/checkpoint.h"

struct restore_request {
    struct arena *arena;
    const struct container_host *host;
    const char *id, *bundle;
    enum cgroup_manager cgroup_manager;
    const char *default_cgroup; /* when the configuration names none */
    const char *console_socket; /* path; NULL: none */
    int console_fd;             /* connected already (foreground); -1: none */
    const struct checkpoint_options *options;
};

/* Whether the container that was written has a terminal. */
int container_restore_has_terminal(
        const struct restore_request *request, bool *ret, struct error *err);

/* Makes it, running; its root is that of the bundle. `*ret_pid` is its first process, our child. On
 * failure nothing is left. */
int container_restore(const struct store *store, const struct restore_request *request,
        pid_t *ret_pid, struct error *err);
