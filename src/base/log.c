#include "base/log.h"

#include <endian.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/str.h"
#include "base/utc.h"

static const char *const level_names[] = {"debug", "info", "warning", "error"};

static void add_time(struct buf *line)
{
    char text[UTC_TEXT_SIZE];

    buf_printf(line, "%sZ", utc_text(time(NULL), text));
}

/* syslog(3)'s severities: debug, info, warning, err. */
static const int severities[] = {7, 6, 4, 3};
#define FACILITY_USER 8

static void add_datagram(
        struct buf *line, const struct log *log, enum log_level level, const struct buf *message)
{
    uint64_t length = htole64(message->length);

    if (log->format == LOG_SYSLOG) {
        buf_printf(line, "<%d>%s[%d]: ", FACILITY_USER | severities[level], log->name, getpid());
        buf_add(line, buf_text(message), message->length);
        return;
    }
    buf_printf(line, "PRIORITY=%d\nSYSLOG_IDENTIFIER=%s\nMESSAGE\n", severities[level], log->name);
    buf_add(line, (const char *)&length, sizeof(length));
    buf_add(line, buf_text(message), message->length);
    buf_add_char(line, '\n');
}

void log_write(const struct log *log, enum log_level level, const char *format, ...)
{
    _cleanup_buf_ struct buf line = {0};
    _cleanup_buf_ struct buf message = {0};
    va_list args;

    if (log->fd < 0 || level < log->level)
        return;
    va_start(args, format);
    buf_vprintf(&message, format, args);
    va_end(args);
    if (log->format == LOG_SYSLOG || log->format == LOG_JOURNAL) {
        add_datagram(&line, log, level, &message);
    } else if (log->format == LOG_JSON) {
        buf_printf(&line, "{\"level\":\"%s\",\"msg\":", level_names[level]);
        json_quote(buf_text(&message), &line);
        buf_add_str(&line, ",\"time\":\"");
        add_time(&line);
        buf_add_str(&line, "\"}\n");
    } else {
        buf_add_str(&line, "time=\"");
        add_time(&line);
        buf_printf(&line, "\" level=%s msg=", level_names[level]);
        json_quote(buf_text(&message), &line);
        buf_add_char(&line, '\n');
    }
    if (write(log->fd, line.data, line.length) < 0)
        return; /* a log that cannot be written has nobody to tell */
}

bool log_level_from_str(const char *text, enum log_level *ret)
{
    static const struct {
        const char *name;
        enum log_level level;
    } names[] = {{"trace", LOG_DEBUG}, {"debug", LOG_DEBUG}, {"info", LOG_INFO}, {"warn", LOG_WARN},
            {"warning", LOG_WARN}, {"error", LOG_ERROR}, {"fatal", LOG_ERROR},
            {"panic", LOG_ERROR}};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (str_equal(names[i].name, text)) {
            *ret = names[i].level;
            return true;
        }
    }
    return false;
}
