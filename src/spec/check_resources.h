/* The rules for `linux.resources` (runtime-spec config-linux.md#control-groups) that do not depend
 * on the host's control groups. For spec/check.c. */
#pragma once

#include "spec/spec.h"

/* Adds the faults found in resources that stand at `place`. */
void check_resources(struct record_report *report, const struct record_place *place,
        const struct spec_resources *resources);

/* A device's numbers, as dev_t has room for them. -1 is allowed where it means "all". */
void check_device_numbers(struct record_report *report, const struct record_place *place,
        int64_t major, int64_t minor, int64_t min);
