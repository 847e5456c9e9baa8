/*
 * An error is filled where it happens: what was tried, on what, why it failed and, where there is
 * something to do about it, what to do. Callers add context in front and never print; only the
 * programs (cli/, oci/, vmm/, guest/) do.
 *
 * By rule `struct error *err` is the last parameter and the return value is negative: the negated
 * errno, so that a caller can tell cases apart without reading the text. An error is plain data of
 * a fixed size, owns nothing, and may be sent through a pipe as it is.
 */
#pragma once

#include <errno.h>
#include <stdarg.h>

#define ERROR_TEXT_MAX 4000

struct error {
    int errnum;      /* positive errno value; 0: no error */
    int exit_status; /* what a program should exit with (126, 127 …); 0: the program's default */
    char text[ERROR_TEXT_MAX];
};

/* Start value. */
#define ERROR_NONE                                                                                 \
    {                                                                                              \
        0, 0, ""                                                                                   \
    }

/*
 * Fills the error and returns -errnum. The text does not repeat strerror(errnum) unless written.
 * err may be NULL when the caller only wants the code.
 */
int error_set(struct error *err, int errnum, const char *format, ...)
        __attribute__((format(printf, 3, 4)));

/* As error_set, and ": <name of errnum>: <strerror>" is appended, as in "…: EPERM: Operation not
 * permitted". For failures of a system call. */
int error_sys(struct error *err, int errnum, const char *format, ...)
        __attribute__((format(printf, 3, 4)));

/* As error_sys, and then "; <hint>", what to do about it; none when it is NULL or empty. */
int error_sys_hint(struct error *err, int errnum, const char *hint, const char *format, ...)
        __attribute__((format(printf, 4, 5)));

/* The hint for a file that could not be written: what to do where a disk is full, NULL for all
 * else. */
const char *error_room(int errnum);

/* Puts "<context>: " in front of the text. Returns -err->errnum. */
int error_prefix(struct error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Appends to the text, for advice on what to do. Returns -err->errnum. */
int error_append(struct error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* "EPERM" for EPERM; "errno 4095" for what has no name. Static or thread-local storage. */
const char *error_name(int errnum);
