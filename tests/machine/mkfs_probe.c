/*
 * Stands in for mkfs.erofs in its cage. Where the tree has a file "hold" it stays, to be looked at.
 * Otherwise it tries what the cage is to refuse, on files beside the tree that everybody may read
 * and write, and fails with what came of it: words of a name and an errno, 0 for what worked.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <termios.h>
#include <unistd.h>

#include "attempt.h"

enum { PROGRAM, QUIET, FILE_MADE, TREE, WORDS };

static int try_open(const char *tree, const char *name, int flags)
{
    char path[4096];

    snprintf(path, sizeof(path), "%s%s", tree, name);
    return attempt_open(path, flags);
}

static int try_path(const char *tree, const char *name, int (*call)(const char *))
{
    char path[4096];

    snprintf(path, sizeof(path), "%s%s", tree, name);
    return attempt_why(call(path));
}

static int make_folder(const char *path)
{
    return mkdir(path, 0755);
}

static void try_files(const char *tree, const char *made)
{
    char value[8];

    dprintf(2, "tree %d ", try_open(tree, "/file", O_RDONLY));
    dprintf(2, "closed %d ", try_open(tree, "/closed", O_RDONLY));
    dprintf(2, "made %d ", try_open(made, "", O_RDWR | O_CREAT | O_TRUNC));
    dprintf(2, "tree-write %d ", try_open(tree, "/file", O_WRONLY));
    dprintf(2, "node %d ", try_open(tree, "/node", O_RDONLY));
    dprintf(2, "node-write %d ", try_open(tree, "/node", O_WRONLY));
    dprintf(2, "read %d ", try_open(tree, ".outside/file", O_RDONLY));
    dprintf(2, "write %d ", try_open(tree, ".outside/file", O_WRONLY));
    dprintf(2, "list %d ", try_open(tree, ".outside", O_RDONLY | O_DIRECTORY));
    dprintf(2, "create %d ", try_open(tree, ".outside/new", O_WRONLY | O_CREAT));
    dprintf(2, "passwd %d ", try_open("", "/etc/passwd", O_RDONLY));
    dprintf(2, "remove %d ", try_path(tree, ".outside/file", unlink));
    dprintf(2, "mkdir %d ", try_path(tree, ".outside/new", make_folder));
    dprintf(2, "attribute %d ", attempt_why(setxattr(tree, "user.probe", value, 0, 0)));
}

static void try_calls(void)
{
    struct rlimit limit = {RLIM_INFINITY, RLIM_INFINITY};
    struct termios settings;

    dprintf(2, "socket %d ", attempt_why(socket(AF_UNIX, SOCK_STREAM, 0)));
    dprintf(2, "signal %d ", attempt_why(kill(getppid(), 0)));
    dprintf(2, "thread-signal %d ",
            attempt_why(syscall(SYS_tgkill, getpid() + 1, getpid() + 1, 0)));
    dprintf(2, "owner %d ", attempt_why(fcntl(1, F_SETOWN, getpid())));
    dprintf(2, "limits %d ", attempt_why(prlimit(0, RLIMIT_CORE, NULL, &limit)));
    dprintf(2, "ioctl %d ", attempt_why(ioctl(0, TCGETS, &settings)));
    dprintf(2, "fork %d ", attempt_fork());
    dprintf(2, "mount %d ", attempt_why(mount("none", "/", "tmpfs", 0, NULL)));
    dprintf(2, "exec %d ", attempt_why(execl("/bin/true", "true", (char *)NULL)));
}

int main(int argc, char **argv)
{
    if (argc != WORDS)
        return 2;
    while (try_open(argv[TREE], "/hold", O_RDONLY) == 0)
        sleep(1);
    dprintf(2, "environment %d ", environ[0] != NULL);
    try_files(argv[TREE], argv[FILE_MADE]);
    try_calls();
    dprintf(2, "end 0");
    return 1;
}
