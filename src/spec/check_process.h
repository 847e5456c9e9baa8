/* The rules for `process` and for hooks (runtime-spec config.md#process, #posix-platform-hooks).
 * For spec/check.c. */
#pragma once

#include "spec/spec.h"

/* Adds the faults found in a process, and in hooks, which stand at `place`. */
void check_process(struct record_report *report, const struct record_place *place,
        const struct spec_process *process);
void check_hooks(struct record_report *report, const struct record_place *place,
        const struct spec_hooks *hooks);
