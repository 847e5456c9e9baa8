/*
 * A machine that runs joins a network or leaves it: a tap behind one of the spare network devices
 * that it was started with, since there is no way to add a device later, and the interface that the
 * agent makes of it in the guest.
 */
#pragma once

#include "container/container.h"
#include "net/link.h"

struct vm_plug {
    const char *sandbox; /* for messages */
    const char *tap;     /* its name, which tells it from the machine's others */
    int fd;              /* a queue of it, the caller's */
    const char *mac;     /* what the interface has */
    uint32_t mtu;        /* 0: 1500 */
    const struct link_inside *inside;
};

/* On failure vm_pull_out() clears away what was done. -ENOSPC: no device is spare; else as
 * vm_connect(). */
int vm_plug_in(const struct container *container, struct arena *arena, const struct vm_plug *plug,
        struct error *err);

/* The interface goes, with its addresses and routes, and the device is spare. One that is not there
 * is fine. */
int vm_pull_out(
        const struct container *container, struct arena *arena, const char *tap, struct error *err);

/* Addresses and routes of an interface that is there: what is missing is added. */
int vm_route(const struct container *container, struct arena *arena,
        const struct link_inside *inside, struct error *err);
