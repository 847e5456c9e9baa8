/*
 * A thread with an event loop of its own, for devices whose work may block (disks, shared folders).
 * Used by machine.c only.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>

#include "base/error.h"
#include "base/loop.h"
#include "vm/confine.h"

struct worker {
    struct loop *loop;
    pthread_t thread;
    int stop_fd;               /* eventfd */
    void (*begin)(void *data); /* called first on the thread; NULL: nothing to do */
    void (*end)(void *data);   /* called last on the thread; NULL: nothing to do */
    void *data;
    enum thread_kind kind;
    confine_fn *confine; /* called next; NULL: not confined */
    bool runs;
};

/* Makes the loop; devices add their sources before worker_start(). */
int worker_init(struct worker *worker, struct error *err);
int worker_start(struct worker *worker, struct error *err);

/* Waits for the thread's end; the loop stays, so that devices can take their sources away. */
void worker_stop(struct worker *worker);
void worker_free(struct worker *worker);
