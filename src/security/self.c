#include "security/self.h"

#include <fcntl.h>
#include <linux/memfd.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "base/cleanup.h"
#include "sys/mount.h"
#include "sys/process.h"

#ifndef MFD_EXEC /* Linux 6.3 */
#define MFD_EXEC 0x0010U
#endif

#define SELF "/proc/self/exe"
#define SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

int security_self_identify(struct security_self *ret, struct error *err)
{
    struct stat status;

    if (stat(SELF, &status) < 0)
        return error_sys(err, errno, "look at our own program " SELF);
    ret->device = status.st_dev;
    ret->inode = status.st_ino;
    return 0;
}

bool security_self_is_protected(void)
{
    _cleanup_close_ int fd = open(SELF, O_RDONLY | O_CLOEXEC);
    struct statvfs status;

    if (fd < 0)
        return false;
    if (fstatvfs(fd, &status) == 0 && (status.f_flag & ST_RDONLY))
        return true;
    int seals = fcntl(fd, F_GET_SEALS);
    return seals >= 0 && (seals & SEALS) == SEALS;
}

/* A detached mount of our file that nobody can write through. */
static int clone_read_only(void)
{
    _cleanup_close_ int tree = sys_open_tree(AT_FDCWD, SELF, OPEN_TREE_CLONE);
    struct mount_attr attributes = {.attr_set = MOUNT_ATTR_RDONLY};

    if (tree < 0)
        return tree;
    int r = sys_mount_setattr(tree, "", AT_EMPTY_PATH, &attributes);
    return r < 0 ? r : take_fd(&tree);
}

static int copy_all(int from, int to, off_t size)
{
    while (size > 0) {
        ssize_t sent = sendfile(to, from, NULL, (size_t)size);
        if (sent < 0)
            return -errno;
        if (sent == 0)
            return -EIO;
        size -= sent;
    }
    return 0;
}

static int copy_sealed(void)
{
    _cleanup_close_ int from = open(SELF, O_RDONLY | O_CLOEXEC);
    struct stat status;

    if (from < 0 || fstat(from, &status) < 0)
        return -errno;
    _cleanup_close_ int to = memfd_create("vivarium", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_EXEC);
    if (to < 0 && errno == EINVAL) /* before Linux 6.3 every memory file may be executed */
        to = memfd_create("vivarium", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (to < 0)
        return -errno;
    int r = copy_all(from, to, status.st_size);
    if (r < 0)
        return r;
    if (fcntl(to, F_ADD_SEALS, SEALS) < 0)
        return -errno;
    return take_fd(&to);
}

static int execute(int fd, char *const argv[], char *const envp[], struct error *err)
{
    int r = sys_execveat(fd, "", argv, envp, AT_EMPTY_PATH);

    return error_sys(err, -r, "execute our own program from its protected copy");
}

int security_protect_self_by_copy(char *const argv[], char *const envp[], struct error *err)
{
    if (security_self_is_protected())
        return 0;
    _cleanup_close_ int fd = copy_sealed();
    if (fd < 0)
        return error_sys(err, -fd, "copy our own program into a sealed memory file");
    return execute(fd, argv, envp, err);
}

int security_protect_self(char *const argv[], char *const envp[], struct error *err)
{
    if (security_self_is_protected())
        return 0;
    _cleanup_close_ int fd = clone_read_only();
    if (fd < 0)
        return security_protect_self_by_copy(argv, envp, err);
    return execute(fd, argv, envp, err);
}
