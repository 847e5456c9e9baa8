/*
 * Restart policies: whether a workload that has ended is started again, and after how long. The
 * sandbox's own monitor acts by them; there is no daemon.
 */
#pragma once

#include "engine/meta.h"

#define RESTART_STOPPED "stopped" /* in the record: a user has ended it, for good */
#define RESTART_ASKED "asked"     /* in the record: it is ended to be started again */

/* The wait before a restart: 100 ms, doubled each time up to a minute, and from the start again
 * when the workload has lived for ten seconds. */
struct restart_pace {
    uint64_t wait_ms;
    uint64_t born_ms; /* when it was started last, on CLOCK_MONOTONIC */
};
void restart_pace_born(struct restart_pace *pace);
uint64_t restart_pace_next(struct restart_pace *pace);

/* Whether one that has ended so is started again: its policy, its restarts so far. */
bool restart_wanted(const struct sandbox_meta *meta, const struct sandbox_life *life);

/* Whether its monitor may start it again at all: by its policy, or when it is unwell. */
bool restart_possible(const struct sandbox_meta *meta);

/* Whether it is to run after a reboot: always, or unless-stopped and nobody has stopped it. */
bool restart_at_boot(const struct sandbox_meta *meta, int record_fd);

/* A user has ended it: noted, and whether it is. */
void restart_stop(int record_fd);
bool restart_is_stopped(int record_fd);

/* Its monitor is to start it once more when it has ended, whatever the policy says; a user who ends
 * it is stronger. Noted, whether it is, and forgotten by the monitor that does it. */
void restart_ask(int record_fd);
bool restart_is_asked(int record_fd);
void restart_forget_ask(int record_fd);

/* Somebody starts it: neither holds any longer. */
void restart_forget(int record_fd);

/* Waits; false when a user ends it meanwhile (SIGTERM comes, and it is noted). */
bool restart_wait(int record_fd, uint64_t wait_ms);
