/*
 * What kinds of thread a machine has, for whoever confines them: each is told to confine itself
 * before it does anything that a guest may have a hand in. What that means is the program's
 * business (vmm/filter.h); without it, as in tests, nothing happens.
 */
#pragma once

enum thread_kind {
    THREAD_LOOP,  /* the console, network, vsock, random numbers, the balloon; the control socket */
    THREAD_VCPU,  /* one for each vCPU */
    THREAD_DISK,  /* one for each disk */
    THREAD_SHARE, /* one for each shared folder */
};

/* Called on the thread itself. There is no way to fail: who cannot be confined must not go on. */
typedef void confine_fn(enum thread_kind kind);
