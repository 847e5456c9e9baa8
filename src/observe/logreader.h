/*
 * The lines of a sandbox's log in the order in which they were written, across the files that were
 * rotated away meanwhile (engine/logfile.h).
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

struct logreader {
    int record_fd; /* the caller's */
    int fd;        /* the file that is read; -1: there is no log */
    struct buf text;
};
#define LOGREADER_NONE ((struct logreader){.record_fd = -1, .fd = -1})

/* Opens the log of a record where its last `tail` lines begin; -1: all. Closed by the caller. */
void logreader_open(int record_fd, int64_t tail, struct logreader *ret);

/* Hands on what has come since, a line without its newline each. A negative errno of reading. */
typedef void (*logreader_fn)(const char *line, size_t length, void *data);
int logreader_read(struct logreader *reader, logreader_fn fn, void *data);

/* Also of one that was never opened, LOGREADER_NONE. The record stays open. */
void logreader_close(struct logreader *reader);
