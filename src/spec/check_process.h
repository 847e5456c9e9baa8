/* The rules for `process` and for hooks (runtime-spec config.md#process, #posix-platform-hooks).
 * For spec/check.c. */
#pragma once

#include "spec/spec.h"

void check_process(struct record_report *report, const struct record_place *place,
        const struct spec_process *process);
void check_hooks(struct record_report *report, const struct record_place *place,
        const struct spec_hooks *hooks);
