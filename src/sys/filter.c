#include "sys/filter.h"

#include <linux/seccomp.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sys/door.h"

int sys_seccomp_filter(unsigned flags, const struct sock_fprog *program)
{
    return (int)SYS_CALL("seccomp", syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, program));
}

int sys_seccomp_action_available(uint32_t action)
{
    return (int)SYS_CALL("seccomp", syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action));
}

int sys_landlock_version(void)
{
    return (int)SYS_CALL("landlock_create_ruleset",
            syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION));
}

int sys_landlock_create_ruleset(const struct landlock_ruleset_attr *attributes, size_t size)
{
    return (int)SYS_CALL(
            "landlock_create_ruleset", syscall(SYS_landlock_create_ruleset, attributes, size, 0));
}

int sys_landlock_add_path(int ruleset_fd, const struct landlock_path_beneath_attr *rule)
{
    return (int)SYS_CALL("landlock_add_rule",
            syscall(SYS_landlock_add_rule, ruleset_fd, LANDLOCK_RULE_PATH_BENEATH, rule, 0));
}

int sys_landlock_restrict_self(int ruleset_fd)
{
    return (int)SYS_CALL(
            "landlock_restrict_self", syscall(SYS_landlock_restrict_self, ruleset_fd, 0));
}
