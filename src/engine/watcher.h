/*
 * A monitor in a process of its own: forked before the workload is made, so that it is the
 * workload's parent and can outlive the command that asked for it.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "base/str.h"

/* What the monitor's process does. Makes the workload, calls watcher_started(), watches it to its
 * end and returns its status, or negative with the error. */
typedef int (*watcher_fn)(void *data, int report_fd, int client_sock, struct error *err);

/* In the monitor's process: tells the command that the workload runs, and these lines (NULL: none).
 */
void watcher_started(int report_fd, const struct strv *told);

/* In the monitor's process: tells the command how the workload has ended, before the monitor does
 * more. */
void watcher_ended(int report_fd, int status);

/* Where the command collects what the monitor tells; the list may be NULL. */
struct watcher_told {
    struct arena *arena;
    struct strv *lines;
};

struct watcher {
    int report_fd;
    int sock; /* the near end of the streams, for session_run(); -1 when not asked for */
    pid_t pid;
};

/* Forks, and returns when the workload has started or could not be (its error). `with_client`: a
 * pair of sockets joins the command to the workload's streams. */
int watcher_start(watcher_fn fn, void *data, bool with_client, const struct watcher_told *told,
        struct watcher *ret, struct error *err);

/* Waits for the workload's status, and for the end of the monitor, unless it does more. */
int watcher_wait(struct watcher *watcher, int *ret_status, struct error *err);

/* Closes what it holds; the workload goes on. */
void watcher_close(struct watcher *watcher);
#define _cleanup_watcher_ __attribute__((cleanup(watcher_close)))
