/*
 * A workload's standard streams: which descriptors its process is born with, and the ends that the
 * monitor keeps. The child inherits 0, 1 and 2 of the process that makes it, so they are put in
 * place just before and taken back just after.
 */
#pragma once

#include <stdbool.h>

#include "base/error.h"

struct streams {
    bool swapped;
    int saved[3]; /* the process's own 0, 1, 2 while they are swapped; -1 */
    int child[3]; /* what the child is to get; -1: what the process has */
    int input;    /* the monitor's ends: writes to the child; -1 */
    int output;   /* reads its stdout, or a terminal's master end (then input too) */
    int error;    /* reads its stderr */
    int console;  /* where a terminal's master end arrives (a socket); -1 */
    int console_peer;
};

#define STREAMS_NONE ((struct streams){false, {-1, -1, -1}, {-1, -1, -1}, -1, -1, -1, -1, -1})

enum streams_kind {
    STREAMS_INHERIT, /* the process's own; stdin is /dev/null unless interactive */
    STREAMS_TEE,     /* stdin as above, stdout and stderr through pipes */
    STREAMS_PIPES,   /* all three through pipes (stdin only if interactive) */
    STREAMS_TERMINAL /* a pseudo-terminal that the container makes */
};

/* Makes both ends. Closed by the caller. */
int streams_open(enum streams_kind kind, bool interactive, struct streams *ret, struct error *err);

/* Around the making of the child. */
int streams_swap_in(struct streams *streams, struct error *err);
void streams_swap_out(struct streams *streams);

/* After it was made: closes the child's ends, and takes the terminal's master end. */
int streams_settle(struct streams *streams, struct error *err);

/* Closes what is still open. */
void streams_close(struct streams *streams);
#define _cleanup_streams_ __attribute__((cleanup(streams_close)))
