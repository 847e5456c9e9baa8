/* Columns for people: as wide as their widest cell, three blanks apart. */
#pragma once

#include <stdio.h>

#include "base/str.h"

#define TABLE_COLUMNS_MAX 12

struct table {
    struct arena *arena;
    size_t columns;
    struct strv cells; /* row by row; the first row is the heading */
};

/* Adds one row of `columns` words; NULL stands for an empty cell. */
void table_add(struct table *table, const char *const *cells);

/* The text, or as much of it as fits into so many columns with "…" behind it. */
const char *table_cut(struct arena *arena, const char *text, size_t width);

/* All rows, each column as wide as its widest cell. */
void table_print(const struct table *table, FILE *out);

/* "64.0 MiB", "1.50 GiB". */
const char *table_bytes(struct arena *arena, uint64_t bytes);

/* "3 minutes", since that time (RFC 3339, UTC). */
const char *table_since(struct arena *arena, const char *when);
