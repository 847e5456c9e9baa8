/*
 * System calls newer than libseccomp, and those newer than the profile. libseccomp 2.5.4 knows the
 * calls of Linux 5.17; from number 424 on all architectures share their numbers, so the later ones
 * can be filtered by a few instructions of our own in front of libseccomp's. The same instructions
 * answer ENOSYS to calls that are newer than anything the profile names: programs probe for those
 * and fall back, which an EPERM would keep them from. Used by seccomp.c only.
 */
#pragma once

#include <linux/filter.h>
#include <stdint.h>

#include "base/buf.h"

/* The number of a call that libseccomp does not know; -1 if we do not know it either. */
int seccomp_recent_number(const char *name);

struct seccomp_recent_rule {
    int number;
    uint32_t action; /* SECCOMP_RET_* with its data */
};

/* The instructions for one architecture (AUDIT_ARCH_*), added to `code`: the rules, then ENOSYS for
 * numbers above `last`, or nothing if last is 0; what does not apply falls through. */
void seccomp_recent_add(struct buf *code, uint32_t arch, const struct seccomp_recent_rule *rules,
        uint32_t count, uint32_t last);
