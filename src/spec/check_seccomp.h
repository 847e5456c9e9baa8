/* The rules for `linux.seccomp` (runtime-spec config-linux.md#seccomp). Names of system calls are
 * not looked up: one that this kernel does not know is skipped by whoever compiles the filter, as
 * the profiles of engines expect. For spec/check.c. */
#pragma once

#include "spec/spec.h"

/* `agent`: there is somebody to answer SCMP_ACT_NOTIFY beside listenerPath (crun's annotation). */
void check_seccomp(struct record_report *report, const struct record_place *place,
        const struct spec_seccomp *seccomp, bool agent);
