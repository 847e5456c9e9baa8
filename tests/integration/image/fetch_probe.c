/*
 * Loaded into viv-fetch by LD_PRELOAD, this tries what the cage is to refuse: once before main(),
 * and once from inside, where viv-fetch makes its pool of transfers, which is the first thing that
 * it does behind the bars. What came of it is told in files of its own folder (descriptor 3),
 * "probe-before" and "probe-inside": lines of a name and an errno, 0 for what worked.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "attempt.h"

#define FOLDER_FD 3

/* viv-fetch and nobody else: what starts it gets the variable too. */
static int is_fetch(void)
{
    return strcmp(program_invocation_short_name, "viv-fetch") == 0;
}

static void try_files(int out, const char *outside, const char *when)
{
    char file[4096];
    char new[4096];
    char gone[4096];

    snprintf(file, sizeof(file), "%s/file", outside);
    snprintf(new, sizeof(new), "%s/new-%s", outside, when);
    snprintf(gone, sizeof(gone), "%s/gone-%s", outside, when);
    dprintf(out, "read %d\n", attempt_open(file, O_RDONLY));
    dprintf(out, "write %d\n", attempt_open(file, O_WRONLY));
    dprintf(out, "truncate %d\n", attempt_open(file, O_WRONLY | O_TRUNC));
    dprintf(out, "list %d\n", attempt_open(outside, O_RDONLY | O_DIRECTORY));
    dprintf(out, "create %d\n", attempt_open(new, O_WRONLY | O_CREAT));
    dprintf(out, "remove %d\n", attempt_why(unlink(gone)));
    dprintf(out, "passwd %d\n", attempt_open("/etc/passwd", O_RDONLY));
    dprintf(out, "hosts %d\n", attempt_open("/etc/hosts", O_RDONLY));
}

static void try_calls(int out)
{
    int fd = socket(AF_PACKET, SOCK_RAW, 0);

    dprintf(out, "packets %d\n", attempt_why(fd));
    dprintf(out, "unix %d\n", attempt_why(socket(AF_UNIX, SOCK_STREAM, 0)));
    dprintf(out, "signal %d\n", attempt_why((int)syscall(SYS_tgkill, getppid(), getppid(), 0)));
    dprintf(out, "own-signal %d\n", attempt_why((int)syscall(SYS_tgkill, getpid(), getpid(), 0)));
    dprintf(out, "fork %d\n", attempt_fork());
    dprintf(out, "mkdir %d\n", attempt_why(mkdirat(FOLDER_FD, "made", 0755)));
    dprintf(out, "exec %d\n", attempt_why(execl("/bin/true", "true", (char *)NULL)));
}

static int open_report(const char *name)
{
    return openat(FOLDER_FD, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
}

__attribute__((constructor)) static void before(void)
{
    const char *outside = getenv("PROBE_OUTSIDE");

    if (!is_fetch() || !outside)
        return;
    int out = open_report("probe-before");
    try_files(out, outside, "before");
    close(out);
}

void *curl_multi_init(void);

void *curl_multi_init(void)
{
    void *found = dlsym(RTLD_NEXT, "curl_multi_init");
    const char *outside = getenv("PROBE_OUTSIDE");
    void *(*real)(void);

    memcpy(&real, &found, sizeof(real));
    if (is_fetch() && outside) {
        int out = open_report("probe-inside");
        try_files(out, outside, "inside");
        try_calls(out);
        dprintf(out, "end 0\n");
        close(out);
    }
    return real();
}
