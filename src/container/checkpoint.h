/*
 * Checkpoint and restore by CRIU, an installed program that is started only for this. What CRIU
 * writes lies in the image directory; our own record of the container (state.json, config.json)
 * lies beside it as viv-state.json and viv-config.json, so that restore (restore.h) can be asked
 * for by another process, after the container was deleted.
 */
#pragma once

#include "container/container.h"
#include "container/criu.h"

#define CHECKPOINT_STATE "viv-state.json"
#define CHECKPOINT_CONFIG "viv-config.json"

/* Names and meanings as runc's options have them; NULL or false: not given. */
struct checkpoint_options {
    const char *images;  /* directory; "checkpoint" below the working directory */
    const char *work;    /* where CRIU keeps its log and statistics; NULL: the images' */
    const char *parent;  /* of an incremental dump, relative to the images */
    const char *cgroups; /* soft, full, strict, ignore */
    const char *page_server;
    struct opt_u64 status_fd;
    const char *network_lock; /* iptables, nftables, skip */
    struct strv empty_ns;     /* "network" */
    bool leave_running, tcp_established, tcp_skip_in_flight, ext_unix_sk, shell_job, lazy_pages;
    bool file_locks, pre_dump, auto_dedup, link_remap;
    bool tcp_close; /* of restore, as what follows */
    const char *lsm_profile, *lsm_mount_context;
};

/* Writes a running container's processes to the images; it has stopped then, unless leave_running
 * or pre_dump. -EOPNOTSUPP, with what CRIU said, where CRIU cannot work on this kernel. */
int container_checkpoint(const struct container *container,
        const struct checkpoint_options *options, struct error *err);

/* What both have in common, for restore.c: the folders (made when `make`), and the options of
 * CRIU's that do not depend on the container. */
int checkpoint_begin(const struct checkpoint_options *options, const struct record_map *annotations,
        bool make, struct criu_call *call, struct error *err);
