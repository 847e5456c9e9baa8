#include "engine/vm_netns.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "net/splice.h"
#include "sys/netns.h"

#define NOTE "netns" /* a symbolic link: "INODE PATH" */

int vm_netns_note(int dir_fd, int namespace_fd, const char *path, struct error *err)
{
    char text[PATH_MAX];
    struct stat status;

    if (!path)
        return 0;
    if (fstat(namespace_fd, &status) < 0)
        return error_sys(err, errno, "look at the network namespace %s", path);
    if (snprintf(text, sizeof(text), "%llu %s", (unsigned long long)status.st_ino, path) >=
            (int)sizeof(text))
        return error_sys(err, ENAMETOOLONG, "note the network namespace %s", path);
    unlinkat(dir_fd, NOTE, 0); /* of a start that was cut short */
    return symlinkat(text, dir_fd, NOTE) < 0
                   ? error_sys(err, errno, "note the network namespace %s", path)
                   : 0;
}

/* Whoever made the namespace may have taken it away, and another may have its path. */
static int open_noted(int dir_fd)
{
    char text[PATH_MAX];
    unsigned long long inode;
    struct stat status;
    int at = 0;
    ssize_t length = readlinkat(dir_fd, NOTE, text, sizeof(text) - 1);

    if (length < 0)
        return -errno;
    text[length] = 0;
    if (sscanf(text, "%llu %n", &inode, &at) != 1 || !at)
        return -EINVAL;
    _cleanup_close_ int fd = open(text + at, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &status) < 0 || status.st_ino != inode)
        return -ESTALE;
    return take_fd(&fd);
}

int vm_netns_delete(struct container *container, bool force, struct error *err)
{
    _cleanup_close_ int namespace =
            str_equal(container->state.isolation, "vm") ? open_noted(container->dir_fd) : -1;
    int r = container_delete(container, force, err);
    _cleanup_close_ int sock = r < 0 || namespace < 0 ? -1 : sys_netns_netlink(namespace);

    if (sock >= 0)
        splice_remove(sock, container->state.id);
    return r;
}
