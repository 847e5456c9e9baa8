#include "observe/output.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/io.h"
#include "engine/logfile.h"
#include "engine/records.h"

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

/* How many lines a file has, up to `most`; `*ret_offset` is where the last that many begin. Reads
 * backwards, in constant memory. */
static int64_t count_tail(int fd, int64_t most, off_t *ret_offset)
{
    char chunk[65536];
    off_t end = lseek(fd, 0, SEEK_END);
    int64_t seen = 0;

    *ret_offset = end;
    for (off_t at = end; at > 0 && most > 0;) {
        size_t size = at > (off_t)sizeof(chunk) ? sizeof(chunk) : (size_t)at;
        at -= (off_t)size;
        if (pread(fd, chunk, size, at) != (ssize_t)size)
            break;
        for (size_t i = size; i-- > 0;) {
            if (chunk[i] != '\n')
                continue;
            *ret_offset = at + (off_t)i + 1;
            if (*ret_offset < end && ++seen == most)
                return seen;
        }
        if (at == 0) {
            *ret_offset = 0;
            seen++;
        }
    }
    return seen;
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

/* ---- files that were rotated ----------------------------------------------------------------- */

static int open_log(int record_fd, unsigned age)
{
    char name[32];

    logfile_name(age, name);
    return openat(record_fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
}

static bool same_file(int a, int b)
{
    struct stat one, other;

    return fstat(a, &one) == 0 && fstat(b, &other) == 0 && one.st_ino == other.st_ino &&
           one.st_dev == other.st_dev;
}

/* The file that was begun after this one; -1 when this is the latest, or too old to be there. */
static int open_next(int record_fd, int fd)
{
    int newer = -1;

    for (unsigned age = 0; age < LOGFILE_FILES_MAX; age++) {
        _cleanup_close_ int candidate = open_log(record_fd, age);
        if (candidate < 0)
            break;
        if (same_file(candidate, fd))
            return newer;
        cleanup_close(&newer);
        newer = take_fd(&candidate);
    }
    return newer; /* ours is gone: the oldest that is there */
}

/* The file to begin with, at the place where the last `tail` lines begin. */
static int open_first(int record_fd, int64_t tail)
{
    _cleanup_close_ int fd = open_log(record_fd, 0);

    for (unsigned age = 0; fd >= 0; age++) {
        off_t offset = 0;
        if (tail >= 0)
            tail -= count_tail(fd, tail, &offset);
        lseek(fd, offset, SEEK_SET);
        _cleanup_close_ int older = tail == 0 ? -1 : open_log(record_fd, age + 1);
        if (older < 0)
            break;
        cleanup_close(&fd);
        fd = take_fd(&older);
    }
    return take_fd(&fd);
}

/* Prints up to the end of the latest file; `*fd` is that one then. */
static int print_all(int record_fd, int *fd, struct buf *text, const struct output_choice *choice)
{
    for (;;) {
        int next = open_next(record_fd, *fd);
        int r = print_new(*fd, text, choice); /* once more, now that nothing is added to it */
        if (next < 0 || r < 0)
            return r;
        cleanup_close(fd);
        *fd = next;
        buf_clear(text);
    }
}

/* ---- following ------------------------------------------------------------------------------- */

/* Whether nothing will be added any more: nobody watches the sandbox. */
static bool is_over(struct engine *engine, const char *name)
{
    _cleanup_arena_ struct arena arena = {0};
    _cleanup_sandbox_ struct sandbox sandbox = {.record_fd = -1};
    struct engine view = *engine;

    view.arena = &arena; /* this may go on for days */
    if (engine_find(&view, name, &sandbox, NULL) < 0)
        return true;
    return !sandbox_has_run(&sandbox) && !record_is_watched(sandbox.record_fd);
}

static int follow(struct engine *engine, const char *id, int record_fd, int *fd, struct buf *text,
        const struct output_choice *choice, struct error *err)
{
    _cleanup_close_ int watch = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    char events[4096];
    char path[64];

    snprintf(path, sizeof(path), "/proc/self/fd/%d", record_fd);
    if (watch < 0 ||
            inotify_add_watch(watch, path, IN_MODIFY | IN_CREATE | IN_MOVED_TO | IN_DELETE) < 0)
        return error_sys(err, errno, "watch the log");
    for (;;) {
        bool over = is_over(engine, id);
        int r = print_all(record_fd, fd, text, choice);
        if (r < 0)
            return error_sys(err, -r, "read the log");
        if (over)
            return 0;
        struct pollfd waiting = {.fd = watch, .events = POLLIN};
        if (poll(&waiting, 1, 1000) > 0)
            while (read(watch, events, sizeof(events)) > 0)
                ;
    }
}

/* A time of ours, which is in UTC, as every journalctl takes it. */
static void add_time(struct buf *command, const char *flag, const char *time)
{
    size_t length = time ? strlen(time) : 0;
    size_t date = time ? strcspn(time, "T") : 0;

    if (!time)
        return;
    if (time[length - 1] == 'Z')
        length--;
    buf_printf(command, " %s '%.*s %.*s UTC'", flag, (int)date, time, (int)(length - date - 1),
            time + date + 1);
}

/* The journal is read by its own program, which has our choices under other names. Of the lines
 * since a time, its -n shows the first ones or the last ones, depending on its version. */
static int in_journal(
        const struct sandbox *sandbox, const struct output_choice *choice, struct error *err)
{
    _cleanup_buf_ struct buf command = {0};
    bool last = choice->tail >= 0 && !choice->since;

    buf_printf(&command, "journalctl CONTAINER_ID_FULL=%s -o %s", sandbox->meta.id,
            choice->timestamps ? "short-iso-precise" : "cat");
    if (choice->follow)
        buf_add_str(&command, " -f");
    if (last)
        buf_printf(&command, " -n %" PRId64, choice->tail);
    else if (choice->follow)
        buf_add_str(&command, " -n all");
    add_time(&command, "--since", choice->since);
    add_time(&command, "--until", choice->until);
    if (choice->tail >= 0 && !last && !choice->follow)
        buf_printf(&command, " | tail -n %" PRId64, choice->tail);
    return error_set(err, ENOENT, "sandbox \"%s\" logs into the journal: %s", sandbox->meta.name,
            buf_text(&command));
}

static int no_log(
        const struct sandbox *sandbox, const struct output_choice *choice, struct error *err)
{
    const char *name = sandbox->meta.name;

    if (str_equal(sandbox->meta.log, "journald"))
        return in_journal(sandbox, choice, err);
    if (str_equal(sandbox->meta.log, "none"))
        return error_set(err, ENOENT, "sandbox \"%s\" has no log: --log-driver none", name);
    if (sandbox->status == SPEC_CREATED)
        return 0;
    return error_set(err, ENOENT,
            "sandbox \"%s\" has no log: with --rm in the foreground its output goes to the "
            "terminal alone",
            name);
}

int output_print(struct engine *engine, const char *name, const struct output_choice *choice,
        struct error *err)
{
    _cleanup_sandbox_ struct sandbox sandbox = {.record_fd = -1};
    _cleanup_buf_ struct buf text = {.max = 1 << 20};
    int r = engine_find(engine, name, &sandbox, err);

    if (r < 0)
        return r;
    _cleanup_close_ int fd = open_first(sandbox.record_fd, choice->tail);
    if (fd < 0)
        return no_log(&sandbox, choice, err);
    r = print_all(sandbox.record_fd, &fd, &text, choice);
    if (r < 0)
        return error_sys(err, -r, "read the log of \"%s\"", name);
    const char *word = sandbox.meta.id ? sandbox.meta.id : sandbox.meta.name;
    return choice->follow ? follow(engine, word, sandbox.record_fd, &fd, &text, choice, err) : 0;
}
