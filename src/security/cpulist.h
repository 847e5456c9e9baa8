/* Lists of CPUs and memory nodes as the kernel writes them: "0-3,7". See cpuset(7), "List format".
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#define CPULIST_BITS 8192 /* as many CPUs as a kernel can be built for */

struct cpulist {
    uint64_t words[CPULIST_BITS / 64];
    size_t bits; /* the highest number plus one; 0: empty */
};

/* Reads a list; `what` ("CPU", "memory node") is for the error. An empty text gives no bits. */
int cpulist_parse(const char *text, const char *what, struct cpulist *ret, struct error *err);
