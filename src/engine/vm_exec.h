/* One more process in a machine. */
#pragma once

#include "container/container.h"

struct vm_exec {
    const char *user; /* looked up inside; NULL: as in the request */
    bool interactive; /* standard input is passed on */
    struct container_apply apply;
};

/*
 * As container_exec(): has the agent start the request's process, and makes viv-shim stand for it.
 * The process has begun when this returns.
 */
int vm_exec(const struct container *container, const struct container_exec_request *request,
        const struct vm_exec *exec, struct container_making *ret, struct error *err);
