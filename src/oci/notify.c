#include "oci/notify.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "container/notify.h"
#include "sys/process.h"

const char *oci_notify_socket(void)
{
    const char *socket = getenv("NOTIFY_SOCKET");

    return str_empty(socket) ? NULL : socket;
}

/* Beside the workload, for as long as this process lives. */
static int leave_it_to_a_helper(int sock, int pidfd, struct error *err)
{
    pid_t parent = getpid();
    pid_t pid = fork();

    if (pid < 0)
        return error_sys(err, errno, "fork the process that passes readiness on");
    if (pid > 0)
        return 0;
    sys_prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    if (getppid() == parent)
        container_notify_pass_on(sock, pidfd, 0, oci_notify_socket(), NULL);
    _exit(0);
}

int oci_notify_start(struct container *container, bool foreground, struct error *err)
{
    const char *to = oci_notify_socket();
    _cleanup_close_ int sock = -1;
    pid_t pid = container->state.pid;

    if (!to || !container_notify_is_wanted(container->dir_fd))
        return container_start(container, err);
    _cleanup_close_ int pidfd = sys_pidfd_open(pid, 0);
    if (pidfd < 0)
        return error_sys(err, -pidfd, "open the container's first process %d", pid);
    int r = container_notify_listen(container->dir_fd, &sock, err);
    if (r == 0 && foreground)
        r = leave_it_to_a_helper(sock, pidfd, err);
    if (r == 0)
        r = container_start(container, err);
    return r < 0 || foreground ? r : container_notify_pass_on(sock, pidfd, pid, to, err);
}
