/*
 * Capability sets and session keyrings, by raw system calls, of the calling thread alone. See
 * door.h for the returns.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Three of the five sets, as masks; capget(2), capset(2) version 3. */
int sys_capget(pid_t pid, uint64_t *effective, uint64_t *permitted, uint64_t *inheritable);
int sys_capset(uint64_t effective, uint64_t permitted, uint64_t inheritable);

/* setfsuid(2): who files belong to that this thread makes. They tell no error: -EPERM when the id
 * did not change. */
int sys_setfsuid(uid_t uid);
int sys_setfsgid(gid_t gid);

/* keyctl(2): the serial number of the new or joined keyring, its description, its permissions. */
int32_t sys_keyctl_join_session(const char *name);
int sys_keyctl_describe(int32_t key, char *text, size_t size);
int sys_keyctl_setperm(int32_t key, uint32_t permissions);
