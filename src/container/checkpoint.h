/*
 * Checkpoint and restore by CRIU, an installed program that is started only for this. What CRIU
 * writes lies in the image directory; our own record of the container (state.json, config.json)
 * lies beside it as viv-state.json and viv-config.json, so that restore can be asked for by another
 * process, after the container was deleted.
 */
#pragma once

#include "container/container.h"

/* Names and meanings as runc's options have them; NULL or false: not given. */
struct checkpoint_options {
    const char *images;  /* directory; "checkpoint" below the working directory */
    const char *work;    /* where CRIU keeps its statistics; NULL: the images' */
    const char *parent;  /* of an incremental dump, relative to the images */
    const char *cgroups; /* soft, full, strict, ignore */
    const char *page_server;
    const char *status_fd;
    const char *network_lock; /* iptables, nftables, skip */
    struct strv empty_ns;
    bool leave_running, tcp_established, tcp_skip_in_flight, ext_unix_sk, shell_job, lazy_pages;
    bool file_locks, pre_dump, auto_dedup, link_remap;
    bool tcp_close; /* of restore, as what follows */
    const char *lsm_profile, *lsm_mount_context;
};

/* Writes a running container's processes to the images; it has stopped then, unless leave_running
 * or pre_dump. -EOPNOTSUPP, with what CRIU said, where CRIU cannot work on this kernel. */
int container_checkpoint(const struct container *container,
        const struct checkpoint_options *options, struct error *err);

/* Makes a container from the images, running; its root is that of the bundle. `*ret_pid` is its
 * first process, a child of whoever reaps this process's orphans. On failure nothing is left. */
int container_restore(const struct store *store, const char *id, const char *bundle,
        const struct checkpoint_options *options, struct arena *arena, pid_t *ret_pid,
        struct error *err);
