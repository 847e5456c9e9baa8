#include "engine/logfile.h"

#include <fcntl.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/json.h"
#include "base/str.h"

static const char *const stream_names[] = {"stdout", "stderr"};

int logfile_open(int dir_fd, struct logfile *ret, struct error *err)
{
    int fd = openat(
            dir_fd, LOGFILE_NAME, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600);

    if (fd < 0)
        return error_sys(err, errno, "open the log");
    *ret = (struct logfile){.fd = fd};
    for (int i = 0; i < 2; i++)
        ret->partial[i].max = LOGFILE_LINE_MAX;
    return 0;
}

static void write_entry(struct logfile *log, enum log_stream stream)
{
    struct buf *partial = &log->partial[stream];
    _cleanup_json_ struct json_object *json = json_object_new_object();
    _cleanup_buf_ struct buf line = {0};
    char when[64];
    struct timespec now;
    struct tm parts;

    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &parts);
    size_t length = strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%S", &parts);
    snprintf(when + length, sizeof(when) - length, ".%09ldZ", now.tv_nsec);
    json_object_object_add(
            json, "log", json_object_new_string_len(buf_text(partial), (int)partial->length));
    json_add_str(json, "stream", stream_names[stream]);
    json_add_str(json, "time", when);
    buf_add_str(&line, json_text(json));
    buf_add_char(&line, '\n');
    io_write_all(log->fd, line.data, line.length); /* a full disk must not stop the workload */
    buf_clear(partial);
}

void logfile_add(struct logfile *log, enum log_stream stream, const char *data, size_t length)
{
    struct buf *partial = &log->partial[stream];

    while (log->fd >= 0 && length > 0) {
        const char *newline = memchr(data, '\n', length);
        size_t take = newline ? (size_t)(newline - data) + 1 : length;
        size_t room = LOGFILE_LINE_MAX - partial->length;
        if (take > room)
            take = room;
        buf_add(partial, data, take);
        bool whole = newline && data + take == newline + 1;
        if (whole || partial->length == LOGFILE_LINE_MAX)
            write_entry(log, stream);
        data += take;
        length -= take;
    }
}

void logfile_close(struct logfile *log)
{
    for (int i = 0; i < 2; i++) {
        if (log->fd >= 0 && log->partial[i].length)
            write_entry(log, (enum log_stream)i);
        buf_free(&log->partial[i]);
    }
    cleanup_close(&log->fd);
}

int logfile_parse(
        const char *line, size_t length, struct json_object **json, struct logfile_entry *ret)
{
    struct json_object *object = NULL;

    if (json_parse(line, length, "log", &object, NULL) < 0)
        return -EINVAL;
    struct json_object *text = json_get(object, "log");
    const char *stream = json_get_str(object, "stream");
    const char *when = json_get_str(object, "time");
    if (!json_object_is_type(text, json_type_string) || !stream || !when) {
        json_object_put(object);
        return -EINVAL;
    }
    *ret = (struct logfile_entry){
            .stream = str_equal(stream, "stderr") ? LOG_STDERR : LOG_STDOUT,
            .text = json_object_get_string(text),
            .length = (size_t)json_object_get_string_len(text),
            .time = when,
    };
    *json = object;
    return 0;
}
