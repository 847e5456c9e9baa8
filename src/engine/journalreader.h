/*
 * Reading a sandbox's lines back from the journal, by the program viv-systemd: systemd's library
 * has no static form. What comes from its descriptor are lines as log.json has them (logfile.h).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/arena.h"
#include "base/error.h"

struct journal_reader {
    pid_t pid;
    int fd;     /* to read from; ends when all has been told */
    int stop;   /* closing it ends the following */
    int errors; /* a file that has what went wrong */
};
#define JOURNAL_READER_NONE ((struct journal_reader){.fd = -1, .stop = -1, .errors = -1})

/*
 * Starts it for the sandbox with this whole id; `tail` entries from the end at most, -1: all. With
 * `follow` the descriptor does not block, and goes on until journal_reader_stop(). -ENOENT: the
 * program is not there.
 */
int journal_reader_start(struct arena *arena, const char *id, int64_t tail, bool follow,
        struct journal_reader *ret, struct error *err);

/* Nothing more will come: what has come is told to the end, and reading blocks from now on. */
void journal_reader_stop(struct journal_reader *reader);

/* Waits for its end and closes all. Negative with the error when it could not read. One that was
 * never started is fine. */
int journal_reader_end(struct journal_reader *reader, struct error *err);
