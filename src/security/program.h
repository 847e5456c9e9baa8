/*
 * The workload's program: its working directory, finding it with the workload's own rights,
 * shutting every other descriptor, and executing it. Used by security.c only.
 */
#pragma once

#include <stdint.h>

#include "base/str.h"
#include "plan/plan.h"

/* What the finding step leaves for the executing one, in the process that both run in. The only
 * part of a step's data that changes while a plan is applied. */
struct program_found {
    struct arena arena; /* of the two below */
    char *path;
    char **env;
};

struct program_args {
    struct strv args;
    struct strv env;
    uint32_t uid;
    uint64_t self_device; /* our own program's, refused; 0 and 0: not checked */
    uint64_t self_inode;
    struct program_found *found; /* does not travel */
};

/* Changes to a directory that must lie inside the root (CVE-2024-21626). */
void program_step_directory(
        struct plan *plan, enum step_place place, const char *because, const char *path);

/* Finds args[0]: in PATH if it has no slash. The wording is runc's; err->exit_status is 127 for
 * what is not there and 126 for what cannot be executed. Adds HOME to the environment. */
void program_step_find(struct plan *plan, enum step_place place, const char *because,
        const struct program_args *args);

/* close_range(2) with CLOSE_RANGE_CLOEXEC from descriptor 3 + preserve on. */
void program_step_close(
        struct plan *plan, enum step_place place, const char *because, unsigned preserve);

/* execve(2). */
void program_step_execute(struct plan *plan, enum step_place place, const char *because,
        const struct program_args *args);
