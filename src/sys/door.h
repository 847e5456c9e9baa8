/*
 * The one door to the kernel's isolating calls. Every wrapper in sys/ returns the kernel's result,
 * or the negated errno, and goes through SYS_CALL, which can be told to report each call and to
 * refuse one of them: that is how tests fail a call that cannot be made to fail otherwise.
 *
 * Ordinary file input and output (base/io.h) does not pass here.
 */
#pragma once

#include <errno.h>
#include <stdbool.h>

struct sys_door {
    /* Told of each call after it was made; NULL: nobody listens. */
    void (*report)(void *data, const char *call, long result);
    void *data;

    const char *refuse_call; /* name of the call that fails, NULL: none */
    int refuse_errnum;
    unsigned refuse_after; /* so many of these calls go through first */
};

/* For this process; a child inherits it as it is at the fork. */
extern struct sys_door sys_door;

/* Whether the door refuses this call now; 0 or the negated errno. */
long sys_door_ask(const char *call);

#define SYS_CALL(name, expression)                                                                 \
    ({                                                                                             \
        long sys_result_ = sys_door.refuse_call ? sys_door_ask(name) : 0;                          \
        if (sys_result_ == 0) {                                                                    \
            sys_result_ = (long)(expression);                                                      \
            if (sys_result_ < 0)                                                                   \
                sys_result_ = -errno;                                                              \
        }                                                                                          \
        if (sys_door.report)                                                                       \
            sys_door.report(sys_door.data, name, sys_result_);                                     \
        sys_result_;                                                                               \
    })
