/*
 * Capabilities: names and numbers (own table, newer than any library's), the five sets, and what
 * of a request the kernel and the caller's own rights can give. See capabilities(7).
 *
 * Sets are bit masks, bit N standing for capability N. Nothing here changes a process; the steps
 * that do are in creds.h.
 */
#pragma once

#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/str.h"

#define CAPS_COUNT 41 /* as of Linux 6.18: CAP_CHECKPOINT_RESTORE is the last */
#define CAPS_ALL ((UINT64_C(1) << CAPS_COUNT) - 1)
#define CAPS_BIT(number) (UINT64_C(1) << (number))

/* The five sets of a process. */
struct caps_sets {
    uint64_t bounding;
    uint64_t effective;
    uint64_t permitted;
    uint64_t inheritable;
    uint64_t ambient;
};

/* "CAP_SYS_ADMIN" for 21; NULL beyond the table. */
const char *caps_name(unsigned number);

/* 21 for "CAP_SYS_ADMIN", in any case and with or without "CAP_"; -1 if there is no such name. */
int caps_number(const char *name);

/* The names of a mask, joined as strace prints them: "1<<CAP_CHOWN|1<<CAP_KILL", "0" for none. */
char *caps_mask_text(struct arena *arena, uint64_t mask);

/* The mask of names, without those that do not exist: the specification wants them told, which
 * whoever reads the configuration does, and not refused (config.md#linux-process). */
uint64_t caps_from_names(const struct strv *list);

/* The highest capability that this kernel knows, found by prctl(PR_CAPBSET_READ). */
unsigned caps_kernel_last(void);

/* What this process could hand to a program: its permitted set cut by its bounding set. A process
 * that enters a new user namespace has CAPS_ALL there (user_namespaces(7)), up to
 * caps_kernel_last(). */
int caps_own(uint64_t *ret_mask, struct error *err);

/*
 * Takes away what cannot be granted: capabilities outside `available` (caps_own(), or all that the
 * kernel knows inside an own user namespace), and the combinations that capset(2) refuses
 * (effective or ambient beyond permitted, ambient beyond inheritable). Each loss is told in one
 * line in `told`, as the runtime specification wants (config.md: "MUST be logged as a warning").
 */
void caps_sets_fit(
        struct arena *arena, struct caps_sets *sets, uint64_t available, struct strv *told);
