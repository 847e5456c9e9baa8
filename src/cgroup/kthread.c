#include "cgroup/kthread.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/io.h"
#include "base/str.h"
#include "cgroup/procs.h"

#define PF_KTHREAD 0x00200000UL /* linux/sched.h */

struct found {
    bool kthread;
    bool runs;
};

/* The ninth field of /proc/pid/stat; the second, a name in brackets, may hold anything. */
static bool is_kthread(pid_t pid)
{
    char path[64], stat[512];
    unsigned long flags = 0;

    snprintf(path, sizeof(path), "/proc/%d/stat", pid);
    if (io_read_small_at(AT_FDCWD, path, stat, sizeof(stat)) < 0)
        return false;
    const char *end = strrchr(stat, ')');
    return end && sscanf(end + 1, " %*c %*d %*d %*d %*d %*d %lu", &flags) == 1 &&
           (flags & PF_KTHREAD);
}

/* The freezer's wait is a part of the one for signals, which some compilers make into one. */
static bool waits_in_freezer(pid_t pid, const char *thread)
{
    char path[64], place[64];

    snprintf(path, sizeof(path), "/proc/%d/task/%.16s/wchan", pid, thread);
    return io_read_small_at(AT_FDCWD, path, place, sizeof(place)) >= 0 &&
           (str_equal(place, "do_freezer_trap") || str_equal(place, "get_signal"));
}

static int look_at(pid_t pid, void *data)
{
    struct found *found = data;
    char path[64];
    const struct dirent *entry;

    if (pid == 0) { /* of another PID namespace: nothing can be said of it */
        found->runs = true;
        return 0;
    }
    if (is_kthread(pid)) {
        found->kthread = true;
        return 0;
    }
    snprintf(path, sizeof(path), "/proc/%d/task", pid);
    DIR *threads = opendir(path);
    while (threads && (entry = readdir(threads)))
        if (entry->d_name[0] != '.' && !waits_in_freezer(pid, entry->d_name))
            found->runs = true;
    if (threads)
        closedir(threads);
    return 0;
}

static int look_in(const char *dir, void *data)
{
    return cgroup_each_pid(dir, look_at, data);
}

bool cgroup_stopped_but_for_kthreads(const char *dir)
{
    struct found found = {0};

    return cgroup_walk(dir, look_in, &found) == 0 && found.kthread && !found.runs;
}
