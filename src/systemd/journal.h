/*
 * Reads the journal for `viv logs`, for viv-systemd alone. The order {"call": "journal", "id": …}
 * wants the entries with that CONTAINER_ID_FULL, "tail" as many of the last ones at most, and with
 * "follow" those that come until standard input ends. Each is printed as a line of log.json
 * (engine/logfile.h).
 */
#pragma once

#include <json-c/json.h>

#include "base/error.h"

/* -ENOENT: no journal is here, or none that this user may read. */
int journal_print(struct json_object *order, struct error *err);
