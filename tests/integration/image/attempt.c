#include "attempt.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

int attempt_why(long result)
{
    return result < 0 ? errno : 0;
}

int attempt_open(const char *path, int flags)
{
    int fd = open(path, flags | O_CLOEXEC, 0644);
    int found = attempt_why(fd);

    if (fd >= 0)
        close(fd);
    return found;
}

int attempt_fork(void)
{
    pid_t pid = fork();
    int found = attempt_why(pid);

    if (pid == 0)
        _exit(0);
    if (pid > 0)
        waitpid(pid, NULL, 0);
    return found;
}
