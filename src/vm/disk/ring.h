/*
 * Transfers between files and memory of which several are on their way at a time: an io_uring, made
 * before the thread that uses it is confined, since making one is not among the calls that it
 * keeps. Belongs to one disk's device; after ring_new() all is called on that device's thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

struct ring;

/* Room for so many transfers at a time; the ring can do nothing else than what is below. -EPERM,
 * -ENOSYS, -EINVAL (before Linux 5.10) and the like where the host's kernel or its administrator
 * does not offer that: the caller then does without. */
int ring_new(unsigned entries, struct ring **ret);

/* Nothing may be on its way any more. NULL is fine. */
void ring_free(struct ring *ring);

/* Readable (epoll) while something has ended that ring_next() has not told. */
int ring_fd(const struct ring *ring);

/* One transfer, at an offset of a file; `iov` and its buffers stay the caller's and must stay as
 * they are until it has ended. False when there is no room. Nothing begins before ring_submit(). */
bool ring_read(struct ring *ring, int fd, uint64_t offset, const struct iovec *iov, size_t count,
        void *tag);
bool ring_write(struct ring *ring, int fd, uint64_t offset, const struct iovec *iov, size_t count,
        void *tag);

/* fdatasync(2): what was written by transfers that have ended is durable when this has. */
bool ring_sync(struct ring *ring, int fd, void *tag);

/* Hands over what was put in since the last time. 0, or negative errno: -EAGAIN and -EBUSY say that
 * some of it is still to be handed over, by a later call. */
int ring_submit(struct ring *ring);

/* What has ended, with its result: bytes (0 for a sync) or negative errno. False: nothing. */
bool ring_next(struct ring *ring, void **ret_tag, int *ret_result);

/* Sleeps until ring_next() has something to tell. */
int ring_wait(struct ring *ring);
