/* What fuzzers of `viv run` ask of a configuration that was made: it can be written and read, and
 * checking it never fails otherwise than by telling faults. */
#pragma once

#include <stdlib.h>
#include <string.h>

#include "spec/check.h"

static void check_result(struct arena *arena, const struct spec *spec)
{
    struct record_report report = {.arena = arena};
    struct record_report rules = {.arena = arena};
    struct spec again = {0};
    _cleanup_json_ struct json_object *json = spec_write(spec);

    spec_read(json, &again, &report);
    spec_check(&again, &rules);
    if (report.warnings.count)
        abort();
    for (size_t i = 0; i < report.faults.count; i++) /* very long lists are the exception */
        if (!strstr(report.faults.words[i], "at most"))
            abort();
}
