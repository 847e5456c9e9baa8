/*
 * The lines of a sandbox's log in the order in which they were written: from its files, across
 * those that were rotated away meanwhile (engine/logfile.h), or from the journal.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "engine/journalreader.h"

struct logreader {
    int record_fd;                 /* the caller's */
    int fd;                        /* the file that is read; -1: there is no log */
    struct journal_reader journal; /* or what reads the journal */
    bool ended;                    /* the journal's reader has left by itself */
    struct buf text;
};
#define LOGREADER_NONE                                                                             \
    ((struct logreader){.record_fd = -1, .fd = -1, .journal = JOURNAL_READER_NONE})

/* Opens the log of a record where its last `tail` lines begin; -1: all. Closed by the caller. */
void logreader_open(int record_fd, int64_t tail, struct logreader *ret);

/* The same of a journal, where journal_reader_start() has begun to read it. */
void logreader_take_journal(const struct journal_reader *journal, struct logreader *ret);

/* Whether there is a log. */
bool logreader_is_open(const struct logreader *reader);

/* Hands on what has come since, a line without its newline each. A negative errno of reading. */
typedef void (*logreader_fn)(const char *line, size_t length, void *data);
int logreader_read(struct logreader *reader, logreader_fn fn, void *data);

/* The same when nothing more will come, once. Negative with the error. */
int logreader_finish(struct logreader *reader, logreader_fn fn, void *data, struct error *err);

/* Also of one that was never opened, LOGREADER_NONE. The record stays open. */
void logreader_close(struct logreader *reader);
