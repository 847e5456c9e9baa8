/* A plan, told: what each step asks of the kernel, which line of the configuration wanted it, and
 * why. Touches nothing. */
#pragma once

#include <stdio.h>

#include "base/json.h"
#include "plan/plan.h"

/*
 * A JSON array with one object a step: step (from 1), place, op, args (the kernel calls, as strace
 * prints them), because (JSON pointer), value (what stands there), why, manual. `config` is the
 * configuration as JSON, for the values. The caller puts the array back.
 */
struct json_object *explain_json(const struct plan *plan, struct json_object *config);

/* The same for people. */
void explain_print(const struct plan *plan, struct json_object *config, FILE *out);
