/*
 * Watching a workload from its start to its end: carries its output to the log, to this process's
 * own streams and to clients that attach, its input from them, passes signals on, and tells how it
 * ended. Runs in the process that made the workload, which alone can learn its exit status.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "base/error.h"
#include "base/loop.h"
#include "container/streams.h"
#include "engine/logfile.h"

/* What lives in the monitor's loop beside the workload (health checks). `begin` gets the config's
 * `data`; what it returns is `end`'s, NULL when there is nothing to do. */
struct monitor_companion {
    void *(*begin)(struct loop *loop, void *data);
    void (*end)(void *companion);
};

struct monitor_config {
    int dir_fd; /* the sandbox's folder in the store, where clients find its socket */
    int pidfd;  /* of the workload's first process */
    struct streams *streams;
    bool local;          /* output goes to this process's stdout and stderr too */
    uint64_t *passed;    /* bytes of stdout and stderr that were carried: two, added to; NULL */
    struct logfile *log; /* and into the log; NULL: none */
    bool listen;         /* clients may attach */
    int client;          /* a client that is there from the start (a connected socket); -1: none */
    int64_t timeout_ns;  /* then the workload is killed; 0: never */
    bool patient;        /* this process only watches: it keeps as little memory as it can */
    bool signals;        /* SIGINT, SIGTERM … sent to this process are passed on */

    /* Called once clients can attach and signals are passed on. NULL: nobody is. */
    void (*at_begin)(void *data);

    /* Called as soon as it has ended, while its control groups are still there: systemd takes away
     * a scope that is empty. NULL: nobody is. */
    void (*at_end)(void *data);
    void *data;
    const struct monitor_companion *companion; /* NULL: none */
};

/* Returns when the workload has ended and its output has been carried away. `*ret_status` is its
 * code, or 128 and the signal's number. */
int monitor_run(const struct monitor_config *config, int *ret_status, struct error *err);
