#include "proto/lastwords.h"

#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static void keep(struct buf *tail, const char *data, size_t length)
{
    size_t most = LASTWORDS_MAX - length;

    if (tail->length > most) {
        memmove(tail->data, tail->data + (tail->length - most), most);
        tail->length = most;
    }
    buf_add(tail, data, length);
}

bool lastwords_read(struct lastwords *words)
{
    char chunk[LASTWORDS_MAX];
    ssize_t got = 0;

    while (words->fd >= 0 &&
            ((got = read(words->fd, chunk, sizeof(chunk))) > 0 || (got < 0 && errno == EINTR)))
        if (got > 0)
            keep(&words->tail, chunk, (size_t)got);
    return got < 0 && errno == EAGAIN;
}

static int64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

bool lastwords_finish(struct lastwords *words, int patience_ms)
{
    int64_t end = now_ms() + patience_ms;
    struct pollfd ready = {.fd = words->fd, .events = POLLIN};

    while (lastwords_read(words)) {
        int64_t left = end - now_ms();
        if (left <= 0 || (poll(&ready, 1, (int)left) < 0 && errno != EINTR))
            return false;
    }
    return true;
}

const char *lastwords_line(struct lastwords *words)
{
    struct buf *tail = &words->tail;
    size_t used = 0;

    for (size_t i = 0; i < tail->length; i++) {
        char c = tail->data[i];
        if (c == '\n' && used && i + 1 < tail->length)
            c = ' ';
        if (c >= ' ' && c <= '~')
            tail->data[used++] = c;
    }
    tail->length = used;
    if (tail->data)
        tail->data[used] = '\0';
    return buf_text(tail);
}

void lastwords_free(struct lastwords *words)
{
    buf_free(&words->tail);
}
