/* Rows of a list that are put into an order: objects of a JSON array. */
#pragma once

#include "base/json.h"

/* Below, above or zero, as strcmp(3). `by` is what rows_sort() was given. */
typedef int (*rows_compare_fn)(struct json_object *one, struct json_object *other, const char *by);

/* What is alike keeps its order. */
void rows_sort(struct json_object *rows, rows_compare_fn compare, const char *by);
