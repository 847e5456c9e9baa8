#include "sys/creds.h"

#include <errno.h>
#include <linux/capability.h>
#include <linux/keyctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sys/door.h"

int sys_capget(pid_t pid, uint64_t *effective, uint64_t *permitted, uint64_t *inheritable)
{
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, pid};
    struct __user_cap_data_struct data[2] = {{0}};

    int r = (int)SYS_CALL("capget", syscall(SYS_capget, &header, data));
    if (r < 0)
        return r;
    *effective = data[0].effective | (uint64_t)data[1].effective << 32;
    *permitted = data[0].permitted | (uint64_t)data[1].permitted << 32;
    *inheritable = data[0].inheritable | (uint64_t)data[1].inheritable << 32;
    return 0;
}

int sys_capset(uint64_t effective, uint64_t permitted, uint64_t inheritable)
{
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    const struct __user_cap_data_struct data[2] = {
            {(uint32_t)effective, (uint32_t)permitted, (uint32_t)inheritable},
            {(uint32_t)(effective >> 32), (uint32_t)(permitted >> 32),
                    (uint32_t)(inheritable >> 32)},
    };

    return (int)SYS_CALL("capset", syscall(SYS_capset, &header, data));
}

int sys_setfsuid(uid_t uid)
{
    SYS_CALL("setfsuid", syscall(SYS_setfsuid, uid));
    return (uid_t)syscall(SYS_setfsuid, -1) == uid ? 0 : -EPERM; /* -1 only asks */
}

int sys_setfsgid(gid_t gid)
{
    SYS_CALL("setfsgid", syscall(SYS_setfsgid, gid));
    return (gid_t)syscall(SYS_setfsgid, -1) == gid ? 0 : -EPERM;
}

int32_t sys_keyctl_join_session(const char *name)
{
    return (int32_t)SYS_CALL("keyctl", syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, name));
}

int sys_keyctl_describe(int32_t key, char *text, size_t size)
{
    return (int)SYS_CALL("keyctl", syscall(SYS_keyctl, KEYCTL_DESCRIBE, key, text, size));
}

int sys_keyctl_setperm(int32_t key, uint32_t permissions)
{
    return (int)SYS_CALL("keyctl", syscall(SYS_keyctl, KEYCTL_SETPERM, key, permissions));
}
