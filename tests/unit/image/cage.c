#include "image/cage.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "sys/mount.h"
#include "test.h"

/* Each attempt gives 0 when it is as it should be. */
static int errno_of(long result)
{
    return result < 0 ? errno : 0;
}

static int in_worker(int folder)
{
    if (cage_enter_folder(folder, NULL) < 0)
        return 1;
    if (openat(folder, "made", O_CREAT | O_WRONLY | O_CLOEXEC, 0600) < 0)
        return 2;
    if (fcntl(folder, F_SETOWN, getpid()) == 0)
        return 9;
    if (geteuid() == 0 && mknodat(folder, "zero", S_IFCHR | 0666, makedev(1, 5)) < 0)
        return 10;
    if (geteuid() == 0 && errno_of(openat(folder, "zero", O_RDONLY | O_CLOEXEC)) != EACCES)
        return 11;
    if (geteuid() == 0 && errno_of(open("zero", O_RDONLY | O_CLOEXEC)) != EACCES)
        return 12;
    if (errno_of(open("/etc/passwd", O_RDONLY | O_CLOEXEC)) != EACCES)
        return 3;
    if (errno_of(openat(folder, "../outside", O_CREAT | O_WRONLY | O_CLOEXEC, 0600)) != EACCES)
        return 4;
    if (errno_of(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) != EPERM)
        return 5;
    if (errno_of(fork()) != EPERM)
        return 6;
    if (errno_of(execl("/bin/true", "true", NULL)) != EPERM)
        return 7;
    if (sys_mount("none", "/", NULL, MS_REMOUNT, NULL) != -EPERM)
        return 8;
    return 0;
}

/* The program is executed, so what is tried is what can be before. */
static int in_maker(int folder)
{
    int flags;
    _cleanup_close_ int program = open("/bin/true", O_PATH | O_CLOEXEC);
    _cleanup_close_ int file = openat(folder, "file", O_CREAT | O_RDWR | O_CLOEXEC, 0600);

    if (cage_enter_maker(program, folder, file, NULL) < 0)
        return 1;
    if (errno_of(openat(folder, "made", O_CREAT | O_WRONLY | O_CLOEXEC, 0600)) != EACCES)
        return 2;
    if (errno_of(openat(folder, "file", O_RDWR | O_CLOEXEC)) != 0)
        return 3;
    if (errno_of(open("/etc/passwd", O_RDONLY | O_CLOEXEC)) != EACCES)
        return 4;
    if (errno_of(unlinkat(folder, "file", 0)) != EPERM)
        return 5;
    if (errno_of(ioctl(folder, FS_IOC_GETFLAGS, &flags)) != EPERM)
        return 6;
    if (errno_of(execl("/bin/false", "false", NULL)) != EACCES)
        return 7;
    execl("/bin/true", "true", NULL);
    return 8;
}

static int in_network(int folder)
{
    if (cage_enter_network(folder, NULL) < 0)
        return 1;
    if (openat(folder, "made", O_CREAT | O_WRONLY | O_CLOEXEC, 0600) < 0)
        return 2;
    if (errno_of(open("/etc/passwd", O_RDONLY | O_CLOEXEC)) != EACCES)
        return 3;
    if (errno_of(open("/etc/ssl/openssl.cnf", O_WRONLY | O_CLOEXEC)) != EACCES)
        return 4;
    if (errno_of(open("/etc/hosts", O_RDONLY | O_CLOEXEC)) != 0)
        return 5;
    if (errno_of(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) != 0)
        return 6;
    if (errno_of(socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0)) != EAFNOSUPPORT)
        return 7;
    if (errno_of(fork()) != EPERM)
        return 8;
    if (errno_of(execl("/bin/true", "true", NULL)) != EPERM)
        return 9;
    if (errno_of(mkdirat(folder, "d", 0700)) != EPERM)
        return 10;
    if (errno_of(unlinkat(folder, "made", 0)) != 0)
        return 11;
    return 0;
}

static int run(int (*attempts)(int folder))
{
    char outer[] = "/tmp/viv-cage-XXXXXX";
    int status = 0;

    if (!mkdtemp(outer))
        return -1;
    _cleanup_close_ int outer_fd = open(outer, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    mkdirat(outer_fd, "inside", 0755);
    _cleanup_close_ int folder = openat(outer_fd, "inside", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    pid_t pid = fork();
    if (pid == 0)
        _exit(attempts(folder));
    waitpid(pid, &status, 0);
    io_remove_tree_at(AT_FDCWD, outer);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -status;
}

TEST(cage_of_a_worker)
{
    CHECK_INT(run(in_worker), 0);
}

TEST(cage_of_viv_fetch)
{
    CHECK_INT(run(in_network), 0);
}

TEST(cage_of_a_maker)
{
    CHECK_INT(run(in_maker), 0);
}

TEST_MAIN()
