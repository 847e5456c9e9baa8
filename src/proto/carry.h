/*
 * A process's streams on a connection (agent.h), the same on both sides: what is read from a source
 * here comes out of a sink there, byte for byte and in order. Each stream has a window of
 * AGENT_WINDOW bytes: a side sends no more than that before the other has passed them on and says
 * so (CREDIT), so that a stream which nobody reads stops itself and holds up no other, nor a signal
 * or the end.
 *
 * Works on the caller's loop, never blocks, and calls back from within the loop only. Sources and
 * sinks may be pipes, terminals, sockets or files; their flags are left alone.
 */
#pragma once

#include "base/loop.h"
#include "proto/agent.h"

struct carry;

struct carry_config {
    struct loop *loop;
    int link; /* connected; the caller's; made non-blocking */
    void *data;

    /* A frame that is none of a stream's. Negative ends the connection. */
    int (*on_frame)(void *data, const struct agent_frame *frame);

    /* The other side is gone, or broke the rules. Called once, nothing follows. */
    void (*on_lost)(void *data, int reason);

    /* Something has moved: the caller looks at carry_sent() and the like. */
    void (*on_moved)(void *data);

    /* What was sent is kept until the other side has passed it on, for carry_take_over(): at most
     * AGENT_WINDOW bytes of each source. */
    bool keeps;
};

/* A carrier without streams yet, the caller's. -ENOMEM, and what epoll_ctl(2) gives. */
int carry_new(const struct carry_config *config, struct carry **ret, struct error *err);
void carry_free(struct carry *carry); /* NULL is fine */

/* Reads from the descriptor and sends until its end; writes what comes to it. The descriptor stays
 * the caller's, but for a sink with `close_at_end`, which is closed behind its last byte. */
int carry_source(struct carry *carry, unsigned stream, int fd);
int carry_sink(struct carry *carry, unsigned stream, int fd, bool close_at_end);

/* What is in the sources now is sent, and then their end: nothing waits for those who still hold
 * the other ends. */
void carry_finish_sources(struct carry *carry);

/* Ends a sink's stream as if the other side had: what is on its way is dropped. */
void carry_drop_sink(struct carry *carry, unsigned stream);

/*
 * Takes the streams of a carrier that keeps and whose link is lost, which then has none. `passed`:
 * how much of each source the other side has passed on, in bytes since it began; less than it has
 * acknowledged here means no more than that, and more than there is all of it, since it may know of
 * a time that is still to come here. `ret_from`: where each goes on. Nothing is sent before
 * carry_send_again(): what was not passed on, and all that comes behind.
 *
 * A sink whose stream has ended takes what comes and drops it, since the other side may not know.
 */
void carry_take_over(struct carry *carry, struct carry *from, const uint64_t passed[AGENT_STREAMS],
        uint64_t ret_from[AGENT_STREAMS]);
void carry_send_again(struct carry *carry);

/* Sends a frame of the caller's, behind what waits. */
void carry_send(struct carry *carry, enum agent_type type, const void *data, size_t length);
void carry_send_buf(struct carry *carry, struct buf *frames);

/* All sources have ended, and what they gave is sent. */
bool carry_sources_ended(const struct carry *carry);

/* All that was to be sent is with the kernel. */
bool carry_sent(const struct carry *carry);

/* Bytes that are to be sent, and are not with the kernel. */
size_t carry_waiting(const struct carry *carry);

/* All that came is passed on. */
bool carry_passed_on(const struct carry *carry);
