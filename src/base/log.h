/*
 * A program's log: text or JSON lines, as container engines read them from `--log`. Only programs
 * (cli/, oci/, vmm/, guest/) write to it; libraries fill a struct error instead.
 */
#pragma once

#include <stdbool.h>

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };
/* The last two are for a datagram socket: syslog(3)'s, and the journal's native protocol. */
enum log_format { LOG_TEXT, LOG_JSON, LOG_SYSLOG, LOG_JOURNAL };

struct log {
    int fd; /* -1: nothing is written */
    enum log_format format;
    enum log_level level; /* what is below is dropped */
    const char *name;     /* who writes, for LOG_SYSLOG and LOG_JOURNAL */
};

/* One line: time="…" level=… msg="…" or {"level":…,"msg":…,"time":…}, by one write(2); or one
 * datagram. */
void log_write(const struct log *log, enum log_level level, const char *format, ...)
        __attribute__((format(printf, 3, 4)));

/* "debug", "info", "warning" or "warn", "error" (also "fatal", "panic", "trace"). */
bool log_level_from_str(const char *text, enum log_level *ret);
