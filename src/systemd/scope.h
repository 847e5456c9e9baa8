/*
 * Orders to systemd over D-Bus, for viv-systemd alone: starts, stops and changes a transient scope
 * and waits for the job's end. A program of its own, linked dynamically, because systemd's library
 * exists only shared.
 */
#pragma once

#include <json-c/json.h>

#include "base/error.h"

/* Carries out one order (see cgroup/systemd.h for its members). *ret_answer is a new object with
 * the scope's "controlGroup" ("" where the unit has gone); the caller puts it. Waits for at most
 * half a minute. */
int scope_carry_out(struct json_object *order, struct json_object **ret_answer, struct error *err);
