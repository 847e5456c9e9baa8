#include "observe/logreader.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "engine/logfile.h"

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

/* Hands on the whole lines that have come; what follows the last newline stays in the buffer. */
static int read_new(struct logreader *reader, logreader_fn fn, void *data)
{
    struct buf *text = &reader->text;
    int fd = reader->fd < 0 ? reader->journal.fd : reader->fd;
    char chunk[65536];
    ssize_t got;

    while ((got = read(fd, chunk, sizeof(chunk))) > 0) {
        buf_add(text, chunk, (size_t)got);
        char *start = text->data;
        char *newline;
        while ((newline = memchr(start, '\n', text->length - (size_t)(start - text->data)))) {
            fn(start, (size_t)(newline - start), data);
            start = newline + 1;
        }
        size_t rest = text->length - (size_t)(start - text->data);
        memmove(text->data, start, rest);
        text->length = rest;
    }
    reader->ended = got == 0 && reader->fd < 0;
    return got < 0 && errno != EAGAIN ? -errno : 0;
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

void logreader_open(int record_fd, int64_t tail, struct logreader *ret)
{
    *ret = LOGREADER_NONE;
    ret->record_fd = record_fd;
    ret->fd = open_first(record_fd, tail);
    ret->text.max = 1 << 20;
}

void logreader_take_journal(const struct journal_reader *journal, struct logreader *ret)
{
    *ret = LOGREADER_NONE;
    ret->journal = *journal;
    ret->text.max = 1 << 20;
}

bool logreader_is_open(const struct logreader *reader)
{
    return reader->fd >= 0 || reader->journal.fd >= 0;
}

int logreader_read(struct logreader *reader, logreader_fn fn, void *data)
{
    if (reader->fd < 0)
        return reader->journal.fd < 0 ? 0 : read_new(reader, fn, data);
    for (;;) {
        int next = open_next(reader->record_fd, reader->fd);
        int r = read_new(reader, fn, data); /* once more, now that nothing is added to it */
        if (next < 0 || r < 0)
            return r;
        cleanup_close(&reader->fd);
        reader->fd = next;
        buf_clear(&reader->text);
    }
}

int logreader_finish(struct logreader *reader, logreader_fn fn, void *data, struct error *err)
{
    if (reader->journal.fd >= 0)
        journal_reader_stop(&reader->journal);
    int r = logreader_read(reader, fn, data);
    if (r < 0)
        return error_sys(err, -r, "read the log");
    return journal_reader_end(&reader->journal, err);
}

void logreader_close(struct logreader *reader)
{
    journal_reader_end(&reader->journal, NULL);
    cleanup_close(&reader->fd);
    buf_free(&reader->text);
}
