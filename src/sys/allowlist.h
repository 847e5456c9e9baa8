/*
 * A seccomp filter that a process of ours puts on one of its threads: the system calls that it
 * makes from then on, and what of their arguments has to be so. Conditions are written as the code
 * that looks at them, with the helpers below; behind each the call's number has to be in the
 * accumulator again, or the filter has to return. The filters of workloads are made in security/.
 */
#pragma once

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdint.h>

#define ALLOWLIST_MAX 512

/* The sanitizers' runtime makes calls of its own, and looks at /proc. */
#if defined(__SANITIZE_ADDRESS__)
#define ALLOWLIST_WITH_RUNTIME 1
#else
#define ALLOWLIST_WITH_RUNTIME 0
#endif

struct allowlist {
    struct sock_filter lines[ALLOWLIST_MAX];
    unsigned short count; /* what does not fit is left out, and the end with it: refused then */
};

/* Other architectures' numbers end the process; then the number is in the accumulator. */
void allowlist_begin(struct allowlist *list);

/* One line of code; a jump, a return. */
void allowlist_add(struct allowlist *list, uint16_t what, uint32_t k, uint8_t yes, uint8_t no);
void allowlist_return(struct allowlist *list, uint32_t what);

/* Calls that are allowed, whatever their arguments are. */
void allowlist_calls(struct allowlist *list, const int *calls, size_t count);

/* The low half of an argument: all that are looked at are ints to the kernel. */
void allowlist_load_argument(struct allowlist *list, size_t index);

/* mmap(2) and mprotect(2), but memory is never made executable. */
void allowlist_memory(struct allowlist *list);

/* `otherwise`: what all other calls come to (SECCOMP_RET_…). From here on the thread has the
 * filter, for which it needs PR_SET_NO_NEW_PRIVS. -E2BIG; see door.h. */
int allowlist_enforce(struct allowlist *list, uint32_t otherwise);
