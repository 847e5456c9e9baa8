/*
 * A small event loop over epoll: descriptors, one-shot timers, signals (signalfd) and the end of
 * processes (pidfd). One thread owns a loop. Callbacks may add and remove sources, their own too.
 */
#pragma once

#include <signal.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>

#include "base/error.h"

struct loop;
struct loop_source;

/* `events` are EPOLLIN, EPOLLOUT, EPOLLHUP … */
typedef void (*loop_io_fn)(struct loop *loop, int fd, uint32_t events, void *data);
typedef void (*loop_timer_fn)(struct loop *loop, void *data);
typedef void (*loop_signal_fn)(struct loop *loop, const struct signalfd_siginfo *info, void *data);

/* 0, or negative with the error filled; the loop is the caller's. */
int loop_new(struct loop **ret, struct error *err);
void loop_free(struct loop *loop); /* sources too; NULL is fine */

/* The descriptor stays the caller's; it must live as long as the source. */
int loop_add_fd(struct loop *loop, int fd, uint32_t events, loop_io_fn fn, void *data,
        struct loop_source **ret);
int loop_change_fd(struct loop_source *source, uint32_t events);

/* Fires once, after so many microseconds from now. */
int loop_add_timer(struct loop *loop, uint64_t after_us, loop_timer_fn fn, void *data,
        struct loop_source **ret);

/* Blocks these signals for the process and delivers them here, also those that hold.h kept. One
 * such source for each loop. */
int loop_add_signals(struct loop *loop, const sigset_t *set, loop_signal_fn fn, void *data,
        struct loop_source **ret);

/* Ends a source; its descriptor stays open. */
void loop_remove(struct loop_source *source); /* NULL is fine */

/* Runs until loop_quit(); returns the value given to it, or negative errno. */
int loop_run(struct loop *loop);
void loop_quit(struct loop *loop, int value);
