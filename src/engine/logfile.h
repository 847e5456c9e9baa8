/*
 * The log of a sandbox's output: one JSON object a line, {"log":"text\n","stream":"stdout",
 * "time":"…"}, as Docker's json-file driver has it. Written by the monitor, read by `viv logs`.
 */
#pragma once

#include <stdbool.h>

#include "base/buf.h"
#include "base/error.h"

enum log_stream { LOG_STDOUT, LOG_STDERR };

#define LOGFILE_NAME "log.json"
#define LOGFILE_LINE_MAX 16384 /* longer lines are written in parts, without a newline inside */

struct logfile {
    int fd;
    struct buf partial[2]; /* of each stream: what has come since the last newline */
};

/* Opens the log in a sandbox's directory for appending. Closed by the caller. */
int logfile_open(int dir_fd, struct logfile *ret, struct error *err);

/* Output as it comes. Lines are written when they are whole. */
void logfile_add(struct logfile *log, enum log_stream stream, const char *data, size_t length);

/* Writes what is left and closes. */
void logfile_close(struct logfile *log);

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
