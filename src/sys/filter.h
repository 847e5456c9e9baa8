/* Filters that a process puts on itself: seccomp(2) and landlock(7). See door.h for the returns. */
#pragma once

#include <linux/filter.h>
#include <linux/landlock.h>
#include <stddef.h>
#include <stdint.h>

/* SECCOMP_SET_MODE_FILTER; with SECCOMP_FILTER_FLAG_NEW_LISTENER the result is a descriptor. A NULL
 * program asks whether the flags exist: -EFAULT if they do, -EINVAL if not. */
int sys_seccomp_filter(unsigned flags, const struct sock_fprog *program);

/* SECCOMP_GET_ACTION_AVAIL: 0, or -EOPNOTSUPP. */
int sys_seccomp_action_available(uint32_t action);

int sys_landlock_version(void); /* the ABI's number; -ENOSYS, -EOPNOTSUPP: not there */
int sys_landlock_create_ruleset(const struct landlock_ruleset_attr *attributes, size_t size);
int sys_landlock_add_path(int ruleset_fd, const struct landlock_path_beneath_attr *rule);
int sys_landlock_restrict_self(int ruleset_fd);
