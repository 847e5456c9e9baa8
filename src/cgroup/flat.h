/* Readers for the small files of control groups: one number, "name value" lines, pressure lines.
 * What is missing or malformed is absent. Used inside cgroup/; the pressure structs are part of
 * stats.h. */
#pragma once

#include "base/record.h"

/* One line of a pressure file (kernel: Documentation/accounting/psi.rst). Averages are hundredths
 * of a percent. */
struct cgroup_pressure_line {
    uint64_t avg10, avg60, avg300;
    uint64_t total_us;
};

struct cgroup_pressure {
    struct cgroup_pressure_line some, full;
};

/* A file of one number; "max" is absent. */
struct opt_u64 cgroup_flat_number(const char *dir, const char *file);

/* The number behind a name in a file of "name value" lines. */
struct opt_u64 cgroup_flat_value(const char *dir, const char *file, const char *name);

/* A whole file of a cgroup in the arena; NULL when it cannot be read. */
char *cgroup_flat_text(struct arena *arena, const char *dir, const char *file);

/* The same in text that was read already. */
struct opt_u64 cgroup_flat_find(const char *text, const char *name);

/* A pressure file, NULL when there is none or the kernel does not count. */
struct cgroup_pressure *cgroup_flat_pressure(
        struct arena *arena, const char *dir, const char *file);
