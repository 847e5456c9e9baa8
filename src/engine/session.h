/*
 * The near end of a workload's terminal or streams: what `run -t`, `exec -t` and `attach` do with
 * the user's own terminal while a monitor in another process holds the workload's.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

struct session {
    int sock;                /* to the monitor; see attach.h */
    bool input;              /* pass our stdin on */
    bool terminal;           /* our stdin is a terminal: raw mode, window size, detach keys */
    const char *detach_keys; /* "ctrl-p,ctrl-q"; NULL: that; "": none */
};

/*
 * Carries bytes until the monitor closes the socket (0) or the detach keys are typed (-ECANCELED).
 * The terminal is put back whatever happens, signals that end us included.
 */
int session_run(const struct session *session, struct error *err);

/* Checks and reads detach keys: letters, or ctrl- and one of a-z @ [ \ ] ^ _, divided by commas. */
#define SESSION_KEYS_MAX 8
int session_parse_keys(
        const char *text, char keys[SESSION_KEYS_MAX], size_t *ret_count, struct error *err);
