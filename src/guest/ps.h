/* The workload's processes, as the guest's kernel numbers them. */
#pragma once

#include "base/json.h"
#include "cgroup/saved.h"

/* A JSON list of {"pid", "ppid", "user", "group" (numbers), "age" (seconds), "name", "command",
 * "stat" (/proc/PID/stat)}; `*ret` is the caller's to put. */
int guest_list_processes(
        const struct cgroup_saved *cgroup, struct json_object **ret, struct error *err);
