/*
 * A machine on an interface that somebody else has made and set up, in a network namespace that
 * somebody else holds: a tap beside it, and all that comes in by the one leaves by the other
 * (redirect.h), before the host's network stack looks at it. The interface keeps its name,
 * addresses and routes; the machine has the same ones, and answers for them.
 *
 * Nothing else in the namespace is changed, and splice_remove() takes back what was.
 */
#pragma once

#include "base/error.h"
#include "net/found.h"

#define SPLICE_TAP "vivtap" /* names of taps start so, with the number of the interface behind */

/*
 * Splices a tap to the interface. `namespace_fd` and the netlink socket are of the namespace;
 * `owner` is whose the tap is, for splice_remove(). The tap is in `*ret_fd`, non-blocking, and
 * lives as long as somebody holds it. -EBUSY: another machine has the interface; something else is
 * at its ingress. What a machine that is gone left is taken away first.
 */
int splice_add(int namespace_fd, int sock, const struct found_interface *interface,
        const char *owner, int *ret_fd, struct error *err);

/* Takes away the owner's taps, whoever holds them, and all redirections to taps that are gone. */
void splice_remove(int sock, const char *owner);
