#include "observe/output.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/io.h"
#include "engine/logfile.h"

static void print_line(const char *line, size_t length, const struct output_choice *choice)
{
    _cleanup_json_ struct json_object *json = NULL;
    struct logfile_entry entry;

    if (logfile_parse(line, length, &json, &entry) < 0)
        return; /* a line that a full disk has cut */
    if (choice->since && strcmp(entry.time, choice->since) < 0)
        return;
    if (choice->until && strcmp(entry.time, choice->until) >= 0)
        return;
    int fd = entry.stream == LOG_STDERR ? 2 : 1;
    if (choice->timestamps) {
        io_write_all(fd, entry.time, strlen(entry.time));
        io_write_all(fd, " ", 1);
    }
    io_write_all(fd, entry.text, entry.length);
}

/* Where the last `lines` lines begin. Reads backwards, in constant memory. */
static off_t find_tail(int fd, int64_t lines)
{
    char chunk[65536];
    off_t end = lseek(fd, 0, SEEK_END);
    int64_t seen = 0;

    if (lines < 0)
        return 0;
    for (off_t at = end; at > 0;) {
        size_t size = at > (off_t)sizeof(chunk) ? sizeof(chunk) : (size_t)at;
        at -= (off_t)size;
        if (pread(fd, chunk, size, at) != (ssize_t)size)
            return 0;
        for (size_t i = size; i-- > 0;) {
            bool last = at + (off_t)i == end - 1;
            if (chunk[i] == '\n' && !last && ++seen == lines)
                return at + (off_t)i + 1;
        }
    }
    return lines == 0 ? end : 0;
}

/* Prints the whole lines that have come; what follows the last newline stays in the buffer. */
static int print_new(int fd, struct buf *text, const struct output_choice *choice)
{
    char chunk[65536];
    ssize_t got;

    while ((got = read(fd, chunk, sizeof(chunk))) > 0) {
        buf_add(text, chunk, (size_t)got);
        char *start = text->data;
        char *newline;
        while ((newline = memchr(start, '\n', text->length - (size_t)(start - text->data)))) {
            print_line(start, (size_t)(newline - start), choice);
            start = newline + 1;
        }
        size_t rest = text->length - (size_t)(start - text->data);
        memmove(text->data, start, rest);
        text->length = rest;
    }
    return got < 0 ? -errno : 0;
}

/* Until the sandbox has ended: its monitor then closes the log, which wakes us. */
static int follow(struct engine *engine, const char *name, int fd, struct buf *text,
        const struct output_choice *choice, struct error *err)
{
    _cleanup_close_ int watch = inotify_init1(IN_CLOEXEC);
    char events[4096];
    char path[64];

    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    if (watch < 0 || inotify_add_watch(watch, path, IN_MODIFY | IN_CLOSE_WRITE) < 0)
        return error_sys(err, errno, "watch the log");
    for (;;) {
        _cleanup_sandbox_ struct sandbox sandbox = {.record_fd = -1};
        bool over = engine_find(engine, name, &sandbox, NULL) < 0 || sandbox.container.dir_fd < 0;
        int r = print_new(fd, text, choice);
        if (r < 0)
            return error_sys(err, -r, "read the log");
        if (over)
            return 0;
        struct pollfd waiting = {.fd = watch, .events = POLLIN};
        if (poll(&waiting, 1, 1000) > 0 && read(watch, events, sizeof(events)) < 0)
            return error_sys(err, errno, "watch the log");
    }
}

int output_print(struct engine *engine, const char *name, const struct output_choice *choice,
        struct error *err)
{
    _cleanup_sandbox_ struct sandbox sandbox = {.record_fd = -1};
    _cleanup_buf_ struct buf text = {.max = 1 << 20};
    int r = engine_find(engine, name, &sandbox, err);

    if (r < 0)
        return r;
    _cleanup_close_ int fd =
            openat(sandbox.record_fd, LOGFILE_NAME, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        return error_set(err, ENOENT,
                "sandbox \"%s\" has no log: with --rm in the foreground its output goes to the "
                "terminal alone",
                name);
    if (fd < 0)
        return error_sys(err, errno, "open the log of \"%s\"", name);
    lseek(fd, find_tail(fd, choice->tail), SEEK_SET);
    r = print_new(fd, &text, choice);
    if (r < 0)
        return error_sys(err, -r, "read the log of \"%s\"", name);
    return choice->follow ? follow(engine, sandbox.meta.name, fd, &text, choice, err) : 0;
}
