/*
 * Seccomp profiles: the runtime specification's description of a filter, compiled to the kernel's
 * BPF by libseccomp, and kept in a cache of compiled filters. Nothing here changes a process; the
 * step that loads a filter is in filter.h.
 */
#pragma once

#include <linux/filter.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/record.h"
#include "base/str.h"

/* One condition on an argument; see runtime-spec config-linux.md#seccomp. */
struct seccomp_arg {
    uint32_t index; /* 0 to 5 */
    uint64_t value;
    uint64_t value_two;
    const char *op; /* "SCMP_CMP_EQ" … */
};

struct seccomp_rule {
    struct strv names;
    const char *action; /* "SCMP_ACT_ALLOW" … */
    struct opt_u64 errno_ret;
    RECORD_LIST(struct seccomp_arg) args;
};

struct seccomp_profile {
    const char *default_action;
    struct opt_u64 default_errno_ret;
    struct strv architectures; /* "SCMP_ARCH_X86_64" …; the kernel's own is always in */
    struct strv flags;         /* "SECCOMP_FILTER_FLAG_LOG" … */
    RECORD_LIST(struct seccomp_rule) rules;
};

/* A compiled filter, in the arena. */
struct seccomp_filter {
    const struct sock_filter *code;
    uint32_t count;    /* instructions */
    uint32_t flags;    /* SECCOMP_FILTER_FLAG_* for seccomp(2); NEW_LISTENER when one is needed */
    bool from_cache;   /* for tests and for those who want to know */
    struct strv notes; /* names that were skipped, one sentence each; also when from the cache */
};

/*
 * The filter of a profile. `cache_dirfd` is a directory from seccomp_cache_open(), or -1: no cache.
 * System calls that neither libseccomp nor the running kernel's table names are skipped, as runc
 * does, and named in `notes`. Flags and actions that the running kernel does not have are errors.
 * A cache that cannot be read or written never fails the call.
 */
int seccomp_get_filter(struct arena *arena, const struct seccomp_profile *profile, int cache_dirfd,
        struct seccomp_filter *ret, struct error *err);

/* The same without a cache. */
int seccomp_compile(struct arena *arena, const struct seccomp_profile *profile,
        struct seccomp_filter *ret, struct error *err);

/* Names that a profile may use, for `features`: each list ends with NULL. */
const char *const *seccomp_action_names(void);
const char *const *seccomp_operator_names(void);
const char *const *seccomp_arch_names(void);
const char *const *seccomp_flag_names(void);

/* Whether the running kernel has this flag ("SECCOMP_FILTER_FLAG_LOG"). */
bool seccomp_flag_supported(const char *name);

/* The table of struct seccomp_profile: the JSON of linux.seccomp (listenerPath and
 * listenerMetadata aside). */
extern const struct record seccomp_profile_record;
