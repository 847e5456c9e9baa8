/*
 * A filter made small. What libseccomp writes has an instruction or two for each system call and
 * architecture; but calls that are allowed lie beside each other, so that a search over ranges of
 * numbers does the same with a tenth of the instructions. That is less for the kernel to check and
 * translate whenever a sandbox starts, and less for a machine's agent to be sent.
 *
 * What a filter does is found by following it, for each architecture and each range of numbers
 * between those that it compares with. Code that looks at arguments is copied as it is. The result
 * is followed in the same way and has to come out the same; else, and where it would not be
 * smaller, there is none. Used by seccomp.c only.
 */
#pragma once

#include <linux/filter.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"

/* A filter that decides the same, in the arena; false: the one that was given stays. `native` is
 * the architecture (AUDIT_ARCH_*) to be looked for first. */
bool seccomp_compact(struct arena *arena, const struct sock_filter *code, uint32_t count,
        uint32_t native, struct sock_filter **ret, uint32_t *ret_count);
