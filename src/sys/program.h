/*
 * Another program, with the descriptors that it is to have, none of those that we were started with
 * (a lock, a pipe of the caller's: some helpers outlive us, as nobody), and signals as a program
 * expects them, whatever this process ignores or blocks: helpers whose end is waited for, or that
 * go on beside us.
 */
#pragma once

#include <sys/types.h>

#include "base/buf.h"
#include "base/str.h"

#define PROGRAM_HANDED_FIRST 3

struct program {
    const char *path;          /* looked for in PATH where it has no slash */
    struct strv *words;        /* its argv, whose first is its name */
    int input, output, errors; /* its standard streams; PROGRAM_NOTHING: /dev/null */
    const int *handed;         /* its further descriptors, from PROGRAM_HANDED_FIRST on */
    size_t handed_count;
};

#define PROGRAM_NOTHING (-1)

/* Its pid, or a negative errno: -ENOENT where there is no such program. */
pid_t program_start(const struct program *program);

/* Starts it with both outputs going to `said`, and waits until it has closed them and ended. What
 * exceeds the cap of `said` is read and dropped. `output` and `errors` are not looked at. Returns
 * its exit status, 128+N where signal N ended it, or a negative errno. */
int program_run(const struct program *program, struct buf *said);
