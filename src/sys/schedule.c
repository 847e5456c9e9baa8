#include "sys/schedule.h"

#include <linux/ioprio.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sys/door.h"

int sys_prlimit(pid_t pid, int resource, const struct rlimit64 *limit, struct rlimit64 *ret_old)
{
    return (int)SYS_CALL("prlimit64", syscall(SYS_prlimit64, pid, resource, limit, ret_old));
}

int sys_sched_setattr(pid_t pid, const struct sys_sched_attr *attributes)
{
    return (int)SYS_CALL("sched_setattr", syscall(SYS_sched_setattr, pid, attributes, 0));
}

int sys_sched_getattr(pid_t pid, struct sys_sched_attr *ret)
{
    return (int)SYS_CALL("sched_getattr", syscall(SYS_sched_getattr, pid, ret, sizeof(*ret), 0));
}

int sys_sched_setaffinity(pid_t pid, size_t size, const uint64_t *mask)
{
    return (int)SYS_CALL("sched_setaffinity", syscall(SYS_sched_setaffinity, pid, size, mask));
}

int sys_ioprio_set(pid_t pid, unsigned class_number, unsigned level)
{
    /* IOPRIO_PRIO_VALUE's arguments have another sign in newer headers. */
    unsigned value = class_number << IOPRIO_CLASS_SHIFT | level;

    return (int)SYS_CALL(
            "ioprio_set", syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, pid, (int)value));
}

int sys_ioprio_get(pid_t pid)
{
    return (int)SYS_CALL("ioprio_get", syscall(SYS_ioprio_get, IOPRIO_WHO_PROCESS, pid));
}

int sys_set_mempolicy(int mode, const uint64_t *nodes, size_t bits)
{
    return (int)SYS_CALL("set_mempolicy", syscall(SYS_set_mempolicy, mode, nodes, bits));
}

int sys_get_mempolicy(int *ret_mode, uint64_t *nodes, size_t bits)
{
    return (int)SYS_CALL(
            "get_mempolicy", syscall(SYS_get_mempolicy, ret_mode, nodes, bits, NULL, 0));
}

int sys_personality(unsigned long persona)
{
    return (int)SYS_CALL("personality", syscall(SYS_personality, persona));
}
