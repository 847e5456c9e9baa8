#include "base/log.h"

#include <stdarg.h>
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
    if (log->format == LOG_JSON) {
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
