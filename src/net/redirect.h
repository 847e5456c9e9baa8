/*
 * All that comes in by one interface leaves by another: a filter at ingress that fits every frame
 * and redirects it, tc-mirred(8), before the host's own network stack sees it. Classified by u32,
 * which more kernels have than matchall. For the network namespace of the socket that is given.
 */
#pragma once

#include <stdint.h>

#define REDIRECT_FIRST 1u /* a priority: 1 to 0xffff */

/* -EEXIST: something is at the ingress of `from` already. -ENOENT: the kernel lacks a module. */
int redirect_add(int sock, int from, int to, uint32_t priority);

/* Takes away what redirect_add() made with that priority; -ENOENT when there is none: others' are
 * left alone. */
int redirect_remove(int sock, int from, uint32_t priority);
