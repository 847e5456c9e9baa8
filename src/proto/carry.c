#include "proto/carry.h"

#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"

#define CHUNK 32768
#define OUT_MAX ((size_t)512 << 10) /* sources wait while so much is to be sent */
#define SINK_AT_ONCE 4096           /* PIPE_BUF: what a pipe that is ready takes without blocking */

/* Bytes with a cheap front. */
struct queue {
    struct buf buf;
    size_t at;
};

struct source {
    int fd; /* -1: none, or ended */
    struct loop_source *watched;
    size_t credit;
    bool plain;        /* a file: always ready */
    bool finishing;    /* what is there now is all */
    bool ended;        /* it was there, and the other side was told of its end */
    uint64_t given;    /* bytes in all */
    struct queue kept; /* of these, what the other side has not passed on; only of a carrier that
                          keeps */
};

struct sink {
    int fd; /* -1: none: what comes is dropped */
    struct loop_source *watched;
    struct queue queue;
    bool ended, close_at_end, plain;
    bool over;        /* it had ended on a link before this one */
    size_t uncounted; /* bytes at its front that came by that link: this one's credit is not theirs
                       */
};

struct carry {
    struct carry_config config;
    struct loop_source *link;
    bool link_writes, lost;
    struct queue in, out;
    struct source sources[AGENT_STREAMS];
    struct sink sinks[AGENT_STREAMS];
};

static void update(struct carry *carry);

/* ---- queues ---------------------------------------------------------------------------------- */

static size_t queue_length(const struct queue *queue)
{
    return queue->buf.length - queue->at;
}

static const char *queue_data(const struct queue *queue)
{
    return queue->buf.data + queue->at;
}

static void queue_drop(struct queue *queue, size_t length)
{
    queue->at += length;
    if (queue->at == queue->buf.length) {
        buf_clear(&queue->buf);
        queue->at = 0;
    } else if (queue->at > OUT_MAX) {
        memmove(queue->buf.data, queue_data(queue), queue_length(queue));
        queue->buf.length -= queue->at;
        queue->at = 0;
    }
}

/* ---- the link's sending half ----------------------------------------------------------------- */

/* Nothing moves until somebody takes the streams over. */
static void unwatch(struct loop_source **watched)
{
    loop_remove(*watched);
    *watched = NULL;
}

static void lose(struct carry *carry, int reason)
{
    if (carry->lost)
        return;
    carry->lost = true;
    unwatch(&carry->link);
    for (unsigned i = 0; i < AGENT_STREAMS; i++) {
        unwatch(&carry->sources[i].watched);
        unwatch(&carry->sinks[i].watched);
    }
    carry->config.on_lost(carry->config.data, reason);
}

static void flush_link(struct carry *carry)
{
    struct queue *out = &carry->out;

    while (!carry->lost && queue_length(out)) {
        ssize_t put = send(carry->config.link, queue_data(out), queue_length(out),
                MSG_NOSIGNAL | MSG_DONTWAIT);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0 && errno == EAGAIN)
            break;
        if (put < 0)
            lose(carry, -errno);
        else
            queue_drop(out, (size_t)put);
    }
}

static void send_credit(struct carry *carry, unsigned stream, size_t length)
{
    uint32_t count = (uint32_t)length;

    agent_put(&carry->out.buf, AGENT_CREDIT, stream, &count, sizeof(count));
}

/* ---- sources --------------------------------------------------------------------------------- */

static void end_source(struct carry *carry, unsigned stream)
{
    struct source *source = &carry->sources[stream];

    unwatch(&source->watched);
    source->fd = -1;
    source->ended = true;
    agent_put(&carry->out.buf, AGENT_END, stream, NULL, 0);
}

static bool may_read(const struct carry *carry, const struct source *source)
{
    return source->fd >= 0 && source->credit && queue_length(&carry->out) < OUT_MAX;
}

static bool is_ready(int fd, short events)
{
    struct pollfd ready = {.fd = fd, .events = events};

    return poll(&ready, 1, 0) > 0;
}

/* One read; false when there is nothing now. */
static bool read_source(struct carry *carry, unsigned stream)
{
    struct source *source = &carry->sources[stream];
    char chunk[CHUNK];
    size_t room = source->credit < sizeof(chunk) ? source->credit : sizeof(chunk);

    if (!source->plain && !is_ready(source->fd, POLLIN)) {
        if (source->finishing)
            end_source(carry, stream);
        return false;
    }
    ssize_t got = read(source->fd, chunk, room);
    if (got < 0 && errno == EINTR)
        return true;
    if (got < 0 && errno == EAGAIN && !source->finishing)
        return false;
    if (got <= 0) { /* end of file; EIO from a terminal */
        end_source(carry, stream);
        return false;
    }
    source->credit -= (size_t)got;
    source->given += (size_t)got;
    if (carry->config.keeps)
        buf_add(&source->kept.buf, chunk, (size_t)got);
    agent_put(&carry->out.buf, AGENT_DATA, stream, chunk, (size_t)got);
    return true;
}

static void on_source(struct loop *loop, int fd, uint32_t events, void *data)
{
    struct carry *carry = data;

    (void)loop, (void)events;
    for (unsigned i = 0; i < AGENT_STREAMS; i++)
        if (carry->sources[i].fd == fd && may_read(carry, &carry->sources[i]))
            read_source(carry, i);
    update(carry);
}

/* A descriptor that is hung up wakes a loop for ever: it is only watched while it may be read. */
static void watch_source(struct carry *carry, struct source *source)
{
    bool wanted = may_read(carry, source) && !source->plain;

    if (wanted && !source->watched) {
        int r = loop_add_fd(
                carry->config.loop, source->fd, EPOLLIN, on_source, carry, &source->watched);
        source->plain = r == -EPERM;
    } else if (!wanted && source->watched) {
        unwatch(&source->watched);
    }
}

/* Files, and sources whose end is wanted now, are read as far as it goes. */
static void pump_sources(struct carry *carry)
{
    for (unsigned i = 0; i < AGENT_STREAMS; i++) {
        struct source *source = &carry->sources[i];
        while (may_read(carry, source) && (source->plain || source->finishing) &&
                read_source(carry, i))
            ;
        watch_source(carry, source);
        while (may_read(carry, source) && source->plain && read_source(carry, i))
            ;
    }
}

/* ---- sinks ----------------------------------------------------------------------------------- */

static void close_sink(struct sink *sink)
{
    unwatch(&sink->watched);
    if (sink->close_at_end)
        cleanup_close(&sink->fd);
    sink->fd = -1;
}

/* So many bytes were passed on, or dropped; the credit for them. */
static size_t pass_on(struct sink *sink, size_t length)
{
    size_t before = length < sink->uncounted ? length : sink->uncounted;

    queue_drop(&sink->queue, length);
    sink->uncounted -= before;
    return length - before;
}

static void drop_sink(struct carry *carry, unsigned stream)
{
    struct sink *sink = &carry->sinks[stream];

    size_t credit = pass_on(sink, queue_length(&sink->queue));
    if (credit)
        send_credit(carry, stream, credit);
    close_sink(sink);
}

/* Writes what it takes without blocking, whatever flags the descriptor has. */
static void write_sink(struct carry *carry, unsigned stream)
{
    struct sink *sink = &carry->sinks[stream];
    size_t credit = 0;

    while (sink->fd >= 0 && queue_length(&sink->queue) &&
            (sink->plain || is_ready(sink->fd, POLLOUT))) {
        size_t length = queue_length(&sink->queue);
        ssize_t put = write(
                sink->fd, queue_data(&sink->queue), length < SINK_AT_ONCE ? length : SINK_AT_ONCE);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0 && errno == EAGAIN)
            break;
        if (put <= 0) { /* nobody reads it any more */
            drop_sink(carry, stream);
            break;
        }
        credit += pass_on(sink, (size_t)put);
    }
    if (credit)
        send_credit(carry, stream, credit);
    if (sink->fd >= 0 && (sink->ended || sink->over) && !queue_length(&sink->queue))
        close_sink(sink);
}

static void on_sink(struct loop *loop, int fd, uint32_t events, void *data)
{
    struct carry *carry = data;

    (void)loop, (void)events;
    for (unsigned i = 0; i < AGENT_STREAMS; i++)
        if (carry->sinks[i].fd == fd)
            write_sink(carry, i);
    update(carry);
}

static void watch_sink(struct carry *carry, unsigned stream)
{
    struct sink *sink = &carry->sinks[stream];
    bool wanted = sink->fd >= 0 && queue_length(&sink->queue) && !sink->plain;

    if (wanted && !sink->watched) {
        int r = loop_add_fd(carry->config.loop, sink->fd, EPOLLOUT, on_sink, carry, &sink->watched);
        sink->plain = r == -EPERM;
        if (sink->plain)
            write_sink(carry, stream);
    } else if (!wanted && sink->watched) {
        unwatch(&sink->watched);
    }
}

static int take_data(struct carry *carry, const struct agent_frame *frame)
{
    struct sink *sink = &carry->sinks[frame->stream];

    if (sink->ended || queue_length(&sink->queue) - sink->uncounted + frame->length > AGENT_WINDOW)
        return -EPROTO;
    if (sink->fd < 0 || sink->over) {
        send_credit(carry, frame->stream, frame->length);
        return 0;
    }
    buf_add(&sink->queue.buf, frame->data, frame->length);
    write_sink(carry, frame->stream);
    return 0;
}

/* ---- the link's receiving half --------------------------------------------------------------- */

static int take_credit(struct carry *carry, const struct agent_frame *frame)
{
    struct source *source = &carry->sources[frame->stream];
    uint32_t count;

    if (agent_number(frame, &count) < 0 || count > AGENT_WINDOW - source->credit)
        return -EPROTO;
    source->credit += count;
    if (carry->config.keeps)
        queue_drop(&source->kept, count);
    return 0;
}

static int take_frame(struct carry *carry, const struct agent_frame *frame)
{
    switch (frame->type) {
    case AGENT_DATA:
        return take_data(carry, frame);
    case AGENT_CREDIT:
        return take_credit(carry, frame);
    case AGENT_END:
        carry->sinks[frame->stream].ended = true;
        write_sink(carry, frame->stream);
        return 0;
    default:
        return carry->config.on_frame(carry->config.data, frame);
    }
}

static void take_frames(struct carry *carry)
{
    struct queue *in = &carry->in;
    struct agent_frame frame;
    size_t used;

    while (!carry->lost) {
        int r = agent_take(queue_data(in), queue_length(in), &frame, &used);
        if (r == 0)
            return;
        if (r > 0)
            r = take_frame(carry, &frame);
        if (r < 0)
            lose(carry, r);
        else
            queue_drop(in, used);
    }
}

static void read_link(struct carry *carry)
{
    char chunk[2 * CHUNK];
    ssize_t got = recv(carry->config.link, chunk, sizeof(chunk), MSG_DONTWAIT);

    if (got < 0 && (errno == EINTR || errno == EAGAIN))
        return;
    if (got <= 0) {
        lose(carry, got < 0 ? -errno : -ECONNRESET);
        return;
    }
    buf_add(&carry->in.buf, chunk, (size_t)got);
    take_frames(carry);
}

static void on_link(struct loop *loop, int fd, uint32_t events, void *data)
{
    struct carry *carry = data;

    (void)loop, (void)fd;
    if (events & ~(uint32_t)EPOLLOUT)
        read_link(carry);
    update(carry);
}

/* After anything has moved: sends, reads and watches what can be gone on with. */
static void update(struct carry *carry)
{
    flush_link(carry);
    if (!carry->lost) {
        pump_sources(carry);
        for (unsigned i = 0; i < AGENT_STREAMS; i++)
            watch_sink(carry, i);
        flush_link(carry);
    }
    bool writes = queue_length(&carry->out) > 0;
    if (!carry->lost && writes != carry->link_writes) {
        carry->link_writes = writes;
        (void)loop_change_fd(carry->link, EPOLLIN | (writes ? EPOLLOUT : 0));
    }
    if (!carry->lost)
        carry->config.on_moved(carry->config.data);
}

/* ---- what callers see ------------------------------------------------------------------------ */

int carry_new(const struct carry_config *config, struct carry **ret, struct error *err)
{
    struct carry *carry = calloc(1, sizeof(*carry));

    if (!carry)
        return error_set(err, ENOMEM, "out of memory");
    carry->config = *config;
    for (unsigned i = 0; i < AGENT_STREAMS; i++) {
        carry->sources[i] = (struct source){.fd = -1, .credit = AGENT_WINDOW};
        carry->sinks[i].fd = -1;
    }
    int r = loop_add_fd(config->loop, config->link, EPOLLIN, on_link, carry, &carry->link);
    if (r < 0) {
        carry_free(carry);
        return error_sys(err, -r, "watch the connection to the machine");
    }
    *ret = carry;
    return 0;
}

void carry_free(struct carry *carry)
{
    if (!carry)
        return;
    loop_remove(carry->link);
    for (unsigned i = 0; i < AGENT_STREAMS; i++) {
        unwatch(&carry->sources[i].watched);
        close_sink(&carry->sinks[i]);
        buf_free(&carry->sources[i].kept.buf);
        buf_free(&carry->sinks[i].queue.buf);
    }
    buf_free(&carry->in.buf);
    buf_free(&carry->out.buf);
    free(carry);
}

int carry_source(struct carry *carry, unsigned stream, int fd)
{
    carry->sources[stream].fd = fd;
    update(carry);
    return 0;
}

int carry_sink(struct carry *carry, unsigned stream, int fd, bool close_at_end)
{
    carry->sinks[stream].fd = fd;
    carry->sinks[stream].close_at_end = close_at_end;
    update(carry);
    return 0;
}

static uint64_t take_source(struct source *source, struct source *from, uint64_t passed)
{
    *source = *from;
    *from = (struct source){.fd = -1};
    uint64_t acknowledged = source->given - queue_length(&source->kept);
    if (passed > source->given)
        passed = source->given;
    if (passed > acknowledged)
        queue_drop(&source->kept, (size_t)(passed - acknowledged));
    source->credit = AGENT_WINDOW - queue_length(&source->kept);
    return source->given - queue_length(&source->kept);
}

static void take_sink(struct sink *sink, struct sink *from)
{
    *sink = *from;
    *from = (struct sink){.fd = -1};
    sink->over |= sink->ended;
    sink->ended = false;
    sink->uncounted = queue_length(&sink->queue);
}

void carry_take_over(struct carry *carry, struct carry *from, const uint64_t passed[AGENT_STREAMS],
        uint64_t ret_from[AGENT_STREAMS])
{
    for (unsigned i = 0; i < AGENT_STREAMS; i++) {
        ret_from[i] = take_source(&carry->sources[i], &from->sources[i], passed[i]);
        take_sink(&carry->sinks[i], &from->sinks[i]);
    }
}

static void send_kept(struct carry *carry, unsigned stream)
{
    const struct source *source = &carry->sources[stream];
    size_t length = queue_length(&source->kept);

    for (size_t done = 0, part; done < length; done += part) {
        part = length - done < AGENT_DATA_MAX ? length - done : AGENT_DATA_MAX;
        agent_put(&carry->out.buf, AGENT_DATA, stream, queue_data(&source->kept) + done, part);
    }
    if (source->ended)
        agent_put(&carry->out.buf, AGENT_END, stream, NULL, 0);
}

void carry_send_again(struct carry *carry)
{
    for (unsigned i = 0; i < AGENT_STREAMS; i++)
        send_kept(carry, i);
    update(carry);
}

void carry_finish_sources(struct carry *carry)
{
    for (unsigned i = 0; i < AGENT_STREAMS; i++)
        carry->sources[i].finishing = true;
    update(carry);
}

void carry_drop_sink(struct carry *carry, unsigned stream)
{
    drop_sink(carry, stream);
    update(carry);
}

void carry_send(struct carry *carry, enum agent_type type, const void *data, size_t length)
{
    agent_put(&carry->out.buf, type, 0, data, length);
    update(carry);
}

void carry_send_buf(struct carry *carry, struct buf *frames)
{
    buf_add(&carry->out.buf, frames->data, frames->length);
    buf_clear(frames);
    update(carry);
}

bool carry_sources_ended(const struct carry *carry)
{
    for (unsigned i = 0; i < AGENT_STREAMS; i++)
        if (carry->sources[i].fd >= 0)
            return false;
    return true;
}

bool carry_sent(const struct carry *carry)
{
    return queue_length(&carry->out) == 0;
}

size_t carry_waiting(const struct carry *carry)
{
    return queue_length(&carry->out);
}

bool carry_passed_on(const struct carry *carry)
{
    for (unsigned i = 0; i < AGENT_STREAMS; i++)
        if (queue_length(&carry->sinks[i].queue))
            return false;
    return true;
}
