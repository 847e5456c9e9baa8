/*
 * Health checks: a command that is run inside again and again, by the sandbox's monitor, and tells
 * by its status whether the workload is well. What was found stands in health.json of the record.
 *
 *     starting    no check has gone well yet, and too few have failed
 *     healthy     the last one went well, or too few have failed since
 *     unhealthy   as many as `retries` have failed in a row
 */
#pragma once

#include "base/loop.h"
#include "engine/engine.h"

#define HEALTH_LOG_MAX 5
#define HEALTH_OUTPUT_MAX 4096

struct health_result {
    const char *start, *end; /* RFC 3339 */
    int code;                /* 0: well */
    const char *output;      /* the first HEALTH_OUTPUT_MAX bytes */
};

struct health_report {
    const char *status;
    int failing;                           /* in a row */
    RECORD_LIST(struct health_result) log; /* the last ones, the latest behind */
};

/* -ENOENT: nothing is checked. */
int health_load(int record_fd, struct arena *arena, struct health_report *ret);

/* The same of a sandbox, for those who tell: "none" where nothing is checked, and "starting" before
 * its monitor has begun to. */
void health_tell(const struct sandbox *sandbox, struct arena *arena, struct health_report *ret);

/* One check now, as `viv healthcheck run` wants it: `*ret_code` is its status. -EINVAL: the sandbox
 * has no check; -ESRCH: it does not run. */
int health_check(struct engine *engine, const char *name, int *ret_code, struct error *err);

/* Checks in a monitor's loop until health_end(); NULL when nothing is to be checked. */
struct health;
struct health *health_begin(
        struct loop *loop, struct engine *engine, const struct sandbox_meta *meta, int record_fd);
void health_end(struct health *health);
