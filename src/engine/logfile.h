/*
 * The log of a sandbox's output, written by its monitor by one of the drivers
 *
 *     json-file   one JSON object a line, {"log":"text\n","stream":"stdout","time":"…"}, as Docker
 * has it, in the record; beyond max-size the file becomes log.json.1 and so on journald    entries
 * of the journal
 *
 * and, of the first, read by `viv logs`.
 */
#pragma once

#include <stdbool.h>

#include "base/buf.h"
#include "base/error.h"
#include "engine/journal.h"
#include "engine/meta.h"

enum log_stream { LOG_STDOUT, LOG_STDERR };

#define LOGFILE_NAME "log.json"
#define LOGFILE_LINE_MAX 16384 /* longer lines are written in parts, without a newline inside */
#define LOGFILE_FILES_MAX 1000

struct logfile {
    int dir_fd; /* the record's; the caller's */
    int fd;
    uint64_t size;
    uint64_t max_size; /* 0: no end */
    unsigned max_file;
    bool to_journal;
    struct journal journal;
    struct buf partial[2]; /* of each stream: what has come since the last newline */
};

#define LOGFILE_NONE ((struct logfile){.fd = -1, .journal = {.sock = -1}})

/* Opens the log that meta->log asks for; none is fine. Closed by the caller. */
int logfile_open(
        int dir_fd, const struct sandbox_meta *meta, struct logfile *ret, struct error *err);

/* Output as it comes. Lines are written when they are whole. */
void logfile_add(struct logfile *log, enum log_stream stream, const char *data, size_t length);

/* Writes what is left and closes. */
void logfile_close(struct logfile *log);

/* The name of the file that is `age` rotations old; 0: the one that is written. */
void logfile_name(unsigned age, char name[32]);

/* One line of a log, taken apart. */
struct logfile_entry {
    enum log_stream stream;
    const char *text; /* with its newline, if it had one */
    size_t length;
    const char *time;
};

/* Takes a line apart; strings belong to `json`, which the caller puts back. -EINVAL: damaged. */
struct json_object;
int logfile_parse(
        const char *line, size_t length, struct json_object **json, struct logfile_entry *ret);
