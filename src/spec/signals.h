/*
 * Signals by name and number, for `kill`, `--stop-signal`, the image's stop signal and for telling
 * people what ended their workload. Names are the kernel's and glibc's, with or without "SIG", in
 * any case; real-time signals are "RTMIN+n" and "RTMAX-n" counted as glibc counts them (34 to 64),
 * since that is what programs inside see. A bare number is taken as it is.
 */
#pragma once

#include "base/error.h"

#define SIGNALS_MAX 64

/* The number of a signal given as people and engines write it: "TERM", "sigterm", "15",
 * "SIGRTMIN+3". -EINVAL, with the closest name told, for what is none. */
int signal_parse(const char *text, int *ret, struct error *err);

/* "SIGTERM" for 15, "SIGRTMIN+3" for 37; "signal 99" for what has no name. Thread-local
 * storage, which holds until the next call. */
const char *signal_name(int number);
