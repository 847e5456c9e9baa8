#include "net/helper.h"

#include <fcntl.h>
#include <stdbool.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "sys/process.h"

#define NOBODY 65534

int helper_drop_rights(struct error *err)
{
    bool root = geteuid() == 0;
    int r = root ? sys_setgroups(0, NULL) : 0;

    if (r == 0 && root)
        r = sys_setresgid(NOBODY, NOBODY, NOBODY);
    if (r == 0 && root)
        r = sys_setresuid(NOBODY, NOBODY, NOBODY);
    if (r == 0)
        r = sys_prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    return r < 0 ? error_sys(err, -r, "give up rights") : 0;
}

void helper_go_into_background(void)
{
    int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);

    pid_t pid = fork();
    if (pid != 0)
        _exit(pid < 0);
    sys_setsid();
    for (int fd = 0; fd < 3 && null_fd >= 0; fd++)
        dup2(null_fd, fd);
    if (chdir("/") < 0)
        _exit(1);
}
