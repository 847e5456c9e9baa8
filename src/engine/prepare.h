/*
 * From what was asked for to a request that container/ can plan: other sandboxes' namespaces, the
 * user, ids of its own, the filter, owners of files. Done anew at each start. What it takes is
 * given back by unprepare(), or when the sandbox ends.
 */
#pragma once

#include "cgroup/group.h"
#include "container/streams.h"
#include "engine/engine.h"
#include "engine/logfile.h"

/* What a run is made of, on its way from the request to the end of the workload. */
struct running {
    struct engine *engine;
    struct engine_run *run;
    struct sandbox_life life;
    struct container_request request;
    struct container_making making;
    struct sandbox_networks *networks; /* NULL: it has none; see network.h */
    struct streams streams;
    bool root_made; /* by this start; see root.h */
    struct logfile log;
    bool kept;                       /* it has a record that outlives it */
    bool again;                      /* and had it before */
    int restarts;                    /* by its policy, so far */
    bool foreground;                 /* in the command's own process */
    int record_fd;                   /* locked; -1 */
    int run_fd;                      /* its folder in the store; -1 */
    struct cgroup_oom_mark oom_mark; /* of its control group, while it runs */
    uint64_t oom_kills;              /* in its control group, when it had ended */
    int report_fd;                   /* whom to tell that it runs; -1: nobody */
    int status_fd;                   /* of a machine: its end comes through this pipe; -1 */
    bool goes_on;                    /* of a machine: from its snapshot */
    struct vm_going_on *from;        /* which; NULL: it boots */
    uint64_t passed[2];              /* bytes of its stdout and stderr in this life */
};

/* Fills in `request`; the configuration becomes the one that is applied. `take`: ids too; without
 * it nothing is touched. */
int running_prepare(struct running *running, bool take, struct error *err);

/* Drops what was taken, when there is no sandbox to hold it. */
void running_unprepare(struct running *running);
