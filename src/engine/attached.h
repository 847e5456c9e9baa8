/*
 * Sitting at the streams of a sandbox that is found by its name: a session (session.h) whose
 * signals go to the workload.
 */
#pragma once

#include "engine/engine.h"
#include "engine/session.h"

/* session_run() for the sandbox `name`. With `signals`, and without a terminal, what signals this
 * process gets goes to the workload's first process (a terminal passes keys on instead). */
int attached_run(struct engine *engine, const char *name, const struct session *session,
        bool signals, struct error *err);
