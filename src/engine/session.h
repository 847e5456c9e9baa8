/*
 * The near end of a workload's terminal or streams: what `run -t`, `exec -t` and `attach` do with
 * the user's own terminal while a monitor in another process holds the workload's.
 */
#pragma once

#include <signal.h>
#include <stdbool.h>

#include "base/error.h"

#define SESSION_KEYS_MAX 8

struct session {
    int sock;                /* to the monitor; see attach.h */
    bool input;              /* pass our stdin on */
    bool terminal;           /* our stdin is a terminal: raw mode, window size, detach keys */
    bool mute[3];            /* by descriptor: what comes for it is dropped */
    bool input_alone;        /* it ends with the input: -ECANCELED */
    const char *detach_keys; /* the bytes that leave it, SESSION_KEYS_MAX at most; "": none */
    void (*on_signal)(void *data, int signal); /* gets the signals; NULL: they act as usual */
    void *data;
};

/*
 * Carries bytes until the monitor closes the socket (0) or the detach keys are typed (-ECANCELED).
 * The terminal is put back whatever happens, signals that end us included.
 */
int session_run(const struct session *session, struct error *err);

/* The signals that are passed on to a workload. */
void session_add_signals(sigset_t *set);

/* Keeps them until a session or a monitor passes them on; see hold.h. Called before the workload is
 * made. */
void session_hold_signals(void);
