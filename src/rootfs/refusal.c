#include "rootfs/refusal.h"

#include <fcntl.h>
#include <linux/nsfs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/io.h"
#include "base/str.h"

/* The mount point of a mountinfo line, NUL-terminated into `point`; its type's place. NULL when the
 * line is no such line. */
static const char *line_type(const char *line, char *point, size_t size)
{
    const char *at = line;

    for (int field = 0; field < 4 && at; field++) {
        at = strchr(at, ' ');
        at = at ? at + 1 : NULL;
    }
    if (!at)
        return NULL;
    size_t length = strcspn(at, " ");
    if (length >= size)
        return NULL;
    memcpy(point, at, length);
    point[length] = '\0';
    const char *dash = strstr(at, " - ");
    return dash ? dash + 3 : NULL;
}

static bool is_type(const char *at, const char *type)
{
    size_t length = strlen(type);

    return strncmp(at, type, length) == 0 && at[length] == ' ';
}

bool refusal_covered(const char *mountinfo, const char *type, char *list, size_t size)
{
    const char *root = str_equal(type, "proc") ? "/proc" : "/sys";
    char line[4096], point[4096];
    size_t used = 0;

    while (*mountinfo) {
        size_t length = strcspn(mountinfo, "\n");
        snprintf(line, sizeof(line), "%.*s", (int)length, mountinfo);
        mountinfo += length + (mountinfo[length] == '\n');
        const char *found = line_type(line, point, sizeof(point));
        const char *rest = found ? str_after(point, root) : NULL;
        /* mounts of other kinds on empty directories (binfmt_misc, cgroup) hide nothing */
        bool hides =
                rest && *rest == '/' &&
                (is_type(found, type) || is_type(found, "tmpfs") || is_type(found, "devtmpfs"));
        if (hides && used < size)
            used += (size_t)snprintf(list + used, size - used, "%s%s", used ? ", " : "", point);
    }
    return used > 0;
}

/* Whether the namespace of this process is owned by the user namespace that it is in. */
static bool owns(const char *file)
{
    struct stat own, owner;
    char path[64];

    snprintf(path, sizeof(path), "/proc/self/ns/%s", file);
    _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
    _cleanup_close_ int owner_fd = fd < 0 ? -1 : ioctl(fd, NS_GET_USERNS);
    if (fd >= 0 && owner_fd < 0)
        return false; /* it lies above ours */
    return fd < 0 || (fstat(owner_fd, &owner) == 0 && stat("/proc/self/ns/user", &own) == 0 &&
                             owner.st_ino == own.st_ino);
}

static const struct {
    const char *type;
    const char *file; /* below /proc/self/ns: the namespace that the file system shows */
    const char *name;
} shows[] = {
        {"proc", "pid", "PID"},
        {"sysfs", "net", "network"},
        {"mqueue", "ipc", "IPC"},
        {"cgroup", "cgroup", "cgroup"},
        {"cgroup2", "cgroup", "cgroup"},
};

static void explain_covered(const char *type, struct error *err)
{
    _cleanup_buf_ struct buf info = {.max = 4 << 20};
    char list[512];

    if (io_read_file_at(AT_FDCWD, "/proc/self/mountinfo", &info) < 0 ||
            !refusal_covered(buf_text(&info), type, list, sizeof(list)))
        return;
    error_append(err,
            "; in a user namespace a new %s may be mounted only where a whole one is visible, and "
            "here parts are covered (%s): start the outer sandbox with --security-opt "
            "systempaths=unconfined, or bind its /%s instead",
            type, list, str_equal(type, "proc") ? "proc" : "sys");
}

static void explain_eperm(const char *type, struct error *err)
{
    for (size_t i = 0; i < ARRAY_SIZE(shows); i++) {
        if (!str_equal(shows[i].type, type))
            continue;
        if (owns(shows[i].file))
            continue;
        error_append(err,
                "; the user namespace of the sandbox does not own its %s namespace, which %s "
                "shows: give the sandbox a new %s namespace, or bind the host's directory instead",
                shows[i].name, type, shows[i].name);
        return;
    }
    if (str_equal(type, "proc") || str_equal(type, "sysfs"))
        explain_covered(type, err);
}

int refusal_explain(
        const char *type, const char *source, const char *target, int errnum, struct error *err)
{
    if (!err)
        return -errnum;
    if (str_empty(source) || str_equal(source, type))
        error_sys(err, errnum, "mount %s on %s", type, target);
    else
        error_sys(err, errnum, "mount %s (%s) on %s", source, type, target);
    if (errnum == EPERM)
        explain_eperm(type, err);
    else if (errnum == ENODEV)
        error_append(err, "; this kernel has no file system of that type (/proc/filesystems)");
    else if (errnum == EBUSY)
        error_append(err, "; it is mounted elsewhere with other options");
    return -errnum;
}
