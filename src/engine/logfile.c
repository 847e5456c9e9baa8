#include "engine/logfile.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/json.h"
#include "base/str.h"
#include "base/utc.h"

static const char *const stream_names[] = {"stdout", "stderr"};

void logfile_name(unsigned age, char name[32])
{
    if (age == 0)
        snprintf(name, 32, LOGFILE_NAME);
    else
        snprintf(name, 32, LOGFILE_NAME ".%u", age);
}

static int open_file(struct logfile *log, struct error *err)
{
    struct stat found;
    int fd = openat(log->dir_fd, LOGFILE_NAME,
            O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600);

    if (fd < 0)
        return error_sys(err, errno, "open the log");
    log->fd = fd;
    log->size = fstat(fd, &found) == 0 ? (uint64_t)found.st_size : 0;
    return 0;
}

static const char *option(const struct sandbox_meta *meta, const char *key)
{
    for (size_t i = 0; i < meta->log_options.count; i++)
        if (str_equal(meta->log_options.items[i].key, key))
            return meta->log_options.items[i].value;
    return NULL;
}

static void read_options(const struct sandbox_meta *meta, struct logfile *log)
{
    const char *size = option(meta, "max-size");
    const char *files = option(meta, "max-file");
    uint64_t count = 1;

    if (size)
        str_to_bytes(size, &log->max_size, NULL);
    if (files && str_to_u64(files, 10, &count) < 0)
        count = 1;
    log->max_file = count > LOGFILE_FILES_MAX ? LOGFILE_FILES_MAX : (unsigned)count;
}

int logfile_open(
        int dir_fd, const struct sandbox_meta *meta, struct logfile *ret, struct error *err)
{
    struct logfile log = LOGFILE_NONE;
    int r = 0;

    log.dir_fd = dir_fd;
    log.to_journal = str_equal(meta->log, "journald");
    read_options(meta, &log);
    if (log.to_journal) {
        const struct journal_source source = {
                meta->id, meta->name, meta->image, option(meta, "tag")};
        r = journal_open(&source, &log.journal, err);
    } else if (!str_equal(meta->log, "none")) {
        r = open_file(&log, err);
    }
    if (r < 0)
        return r;
    for (int i = 0; i < 2; i++)
        log.partial[i].max = LOGFILE_LINE_MAX;
    *ret = log;
    return 0;
}

/* The oldest goes, the others grow a step older, a new one begins. One alone begins anew. */
static void rotate(struct logfile *log)
{
    char from[32];
    char to[32];

    cleanup_close(&log->fd);
    for (unsigned age = log->max_file - 1; age > 0; age--) {
        logfile_name(age - 1, from);
        logfile_name(age, to);
        renameat(log->dir_fd, from, log->dir_fd, to);
    }
    if (log->max_file == 1)
        unlinkat(log->dir_fd, LOGFILE_NAME, 0);
    open_file(log, NULL);
}

static void write_line(struct logfile *log, const struct buf *line)
{
    if (log->max_size && log->size > 0 && log->size + line->length > log->max_size)
        rotate(log);
    if (log->fd < 0)
        return;
    io_write_all(log->fd, line->data, line->length); /* a full disk must not stop the workload */
    log->size += line->length;
}

static void write_journal(struct logfile *log, enum log_stream stream)
{
    const struct buf *partial = &log->partial[stream];
    bool whole = partial->length && partial->data[partial->length - 1] == '\n';

    journal_send(&log->journal, buf_text(partial), partial->length - whole, stream == LOG_STDERR,
            !whole);
}

static void write_entry(struct logfile *log, enum log_stream stream)
{
    struct buf *partial = &log->partial[stream];
    _cleanup_json_ struct json_object *json = NULL;
    _cleanup_buf_ struct buf line = {0};
    char when[64];
    struct timespec now;
    char second[UTC_TEXT_SIZE];

    if (log->to_journal) {
        write_journal(log, stream);
        buf_clear(partial);
        return;
    }
    json = json_object_new_object();
    clock_gettime(CLOCK_REALTIME, &now);
    snprintf(when, sizeof(when), "%s.%09ldZ", utc_text(now.tv_sec, second), now.tv_nsec);
    json_object_object_add(
            json, "log", json_object_new_string_len(buf_text(partial), (int)partial->length));
    json_add_str(json, "stream", stream_names[stream]);
    json_add_str(json, "time", when);
    buf_add_str(&line, json_text(json));
    buf_add_char(&line, '\n');
    write_line(log, &line);
    buf_clear(partial);
}

static bool is_open(const struct logfile *log)
{
    return log->fd >= 0 || log->to_journal;
}

void logfile_add(struct logfile *log, enum log_stream stream, const char *data, size_t length)
{
    struct buf *partial = &log->partial[stream];

    while (is_open(log) && length > 0) {
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
        if (is_open(log) && log->partial[i].length)
            write_entry(log, (enum log_stream)i);
        buf_free(&log->partial[i]);
    }
    cleanup_close(&log->fd);
    journal_close(&log->journal);
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
