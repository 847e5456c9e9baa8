#include "engine/overdue.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"

struct process {
    pid_t pid, parent;
    char state;
    char name[32];
};

static bool read_process(pid_t pid, struct process *ret)
{
    char path[64];
    char text[1024];

    snprintf(path, sizeof(path), "/proc/%d/stat", pid);
    if (io_read_small_at(AT_FDCWD, path, text, sizeof(text)) < 0)
        return false;
    /* "PID (NAME) STATE PARENT …", and the name may hold parentheses */
    const char *name = strchr(text, '(');
    char *name_end = strrchr(text, ')');
    if (!name || !name_end || sscanf(name_end + 1, " %c %d", &ret->state, &ret->parent) != 2)
        return false;
    *name_end = '\0';
    ret->pid = pid;
    snprintf(ret->name, sizeof(ret->name), "%s", name + 1);
    return true;
}

static bool pid_namespace(pid_t pid, struct stat *ret)
{
    char path[64];

    snprintf(path, sizeof(path), "/proc/%d/ns/pid", pid);
    return stat(path, ret) == 0;
}

static bool is_inside(pid_t pid, const struct stat *namespace)
{
    struct stat its;

    return pid_namespace(pid, &its) && its.st_ino == namespace->st_ino &&
           its.st_dev == namespace->st_dev;
}

/* One that has ended in the namespace, and waits for a parent outside of it. */
static bool find_unreaped(pid_t first, struct process *ret)
{
    struct stat namespace;
    struct dirent *entry;
    _cleanup_closedir_ DIR *dir = pid_namespace(first, &namespace) ? opendir("/proc") : NULL;

    while (dir && (entry = readdir(dir))) {
        pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);
        if (pid > 0 && pid != first && read_process(pid, ret) && ret->state == 'Z' &&
                is_inside(pid, &namespace) && !is_inside(ret->parent, &namespace))
            return true;
    }
    return false;
}

int overdue_process(pid_t pid, const char *name, bool last, struct error *err)
{
    struct process unreaped;
    struct process parent;

    if (!find_unreaped(pid, &unreaped))
        return !last ? 0
                     : error_set(err, EBUSY,
                               "sandbox \"%s\" was killed and does not end: its process %d waits "
                               "in the kernel, see /proc/%d/stack",
                               name, pid, pid);
    if (!read_process(unreaped.parent, &parent))
        parent = (struct process){.name = "?"};
    return error_set(err, EBUSY,
            "sandbox \"%s\" was killed and does not end: process %d (%s) of a viv exec has ended "
            "in it, and its parent %d (%s) does not wait for it; end process %d, then try again",
            name, unreaped.pid, unreaped.name, unreaped.parent, parent.name, unreaped.parent);
}

int overdue_monitor(const struct sandbox *sandbox, struct error *err)
{
    const char *name = sandbox->meta.name;
    struct process monitor;

    if (!read_process(sandbox->life.monitor, &monitor))
        return error_set(err, EBUSY,
                "sandbox \"%s\" has ended, and the command that was starting it has not tidied up "
                "behind it: try again",
                name);
    return error_set(err, EBUSY,
            "sandbox \"%s\" has ended, but its monitor, process %d (%s), has not tidied up behind "
            "it%s",
            name, monitor.pid, monitor.name,
            monitor.state == 'T' ? ": it is stopped (kill -CONT)"
                                 : ": hooks of its end may still run; try again, or kill it");
}
