/*
 * Blobs on their way, several at once: downloads that go on where they were interrupted, and
 * uploads. Each is tried again after pauses, and at the other places that may have it.
 */
#pragma once

#include "base/error.h"
#include "fetch/session.h"

#define TRANSFER_PARALLEL 6

struct pool;

/* Files are made in the folder. */
int pool_new(struct session *session, int folder_fd, struct pool **ret, struct error *err);
void pool_free(struct pool *pool);

/* Takes over a WIRE_GET_BLOB or WIRE_PUT_BLOB and its descriptor. What becomes of it is told to the
 * other side. */
void pool_add(struct pool *pool, const struct wire_message *message, int fd);

/* Starts what may start, lets transfers go on, and waits until something happened, on `other_fd`
 * too. */
int pool_turn(struct pool *pool, int other_fd, struct error *err);
