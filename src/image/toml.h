/*
 * TOML 1.0 read into a JSON value: tables and arrays of tables, dotted keys, strings of all four
 * kinds, integers, booleans, arrays, inline tables. Dates and floating-point numbers, which no file
 * of ours has, are refused. Sizes and depths are capped.
 */
#pragma once

#include <stddef.h>

#include "base/error.h"
#include "base/json.h"

/* `name` opens the error's text: "registries.conf:3: …". `*ret` belongs to the caller. */
int toml_parse(const char *text, size_t length, const char *name, struct json_object **ret,
        struct error *err);
