#include "cgroup/procs.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "sys/cgroup.h"

int64_t cgroup_now_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000LL + now.tv_nsec / 1000;
}

void cgroup_pause(unsigned *turn)
{
    unsigned us = 100U << (*turn < 7 ? (*turn)++ : 7); /* 0.1 ms … 12.8 ms */
    struct timespec time = {0, (long)us * 1000};

    nanosleep(&time, NULL);
}

/* A file name of a cgroup's own is below 256 bytes; the tree's depth bounds the rest. */
static bool join(char *path, const char *dir, const char *name)
{
    return snprintf(path, PATH_MAX, "%s/%s", dir, name) < PATH_MAX;
}

static int walk(const char *dir, int depth, cgroup_visit visit, void *data)
{
    char path[PATH_MAX];
    struct dirent *entry;

    if (depth > CGROUP_DEPTH_MAX)
        return -ELOOP;
    _cleanup_closedir_ DIR *entries = opendir(dir);
    if (!entries)
        return -errno;
    while ((entry = readdir(entries))) {
        if (entry->d_type != DT_DIR || entry->d_name[0] == '.' || !join(path, dir, entry->d_name))
            continue;
        int r = walk(path, depth + 1, visit, data);
        if (r < 0 && r != -ENOENT)
            return r;
    }
    return visit(dir, data);
}

int cgroup_walk(const char *dir, cgroup_visit visit, void *data)
{
    return walk(dir, 0, visit, data);
}

static FILE *open_list(const char *dir, const char *name)
{
    char path[PATH_MAX];

    if (!join(path, dir, name)) {
        errno = ENAMETOOLONG;
        return NULL;
    }
    return fopen(path, "re");
}

static int each_line(FILE *list, cgroup_visit_pid visit, void *data)
{
    int pid;
    int r = 0;

    while (r >= 0 && fscanf(list, "%d", &pid) == 1)
        r = visit(pid, data);
    return r < 0 ? r : ferror(list) ? -errno : 0;
}

int cgroup_each_pid(const char *dir, cgroup_visit_pid visit, void *data)
{
    _cleanup_fclose_ FILE *procs = open_list(dir, "cgroup.procs");

    if (!procs)
        return errno == ENODEV ? -ENOENT : -errno;
    int r = each_line(procs, visit, data);
    if (r != -EOPNOTSUPP)
        return r == -ENODEV ? -ENOENT : r;
    _cleanup_fclose_ FILE *threads = open_list(dir, "cgroup.threads");
    return threads ? each_line(threads, visit, data) : -errno;
}

static int stop_at_first(pid_t pid, void *data)
{
    (void)pid;
    *(bool *)data = true;
    return -ECANCELED;
}

int cgroup_has_process(const char *dir)
{
    bool found = false;
    int r = cgroup_each_pid(dir, stop_at_first, &found);

    return found ? 1 : r;
}

static int kill_one(pid_t pid, void *data)
{
    int *result = data;

    if (pid > 0 && kill(pid, SIGKILL) < 0 && errno != ESRCH && *result == 0)
        *result = -errno;
    if (pid == 0 && *result == 0)
        *result = -ESRCH; /* of a PID namespace that is not below ours */
    return 0;
}

static int kill_in(const char *dir, void *data)
{
    char path[PATH_MAX];

    cgroup_each_pid(dir, kill_one, data);
    /* only now: a process that runs on before its SIGKILL could fork */
    if (join(path, dir, "freezer.state"))
        io_write_file_at(AT_FDCWD, path, "THAWED");
    return 0;
}

int cgroup_kill_tree(const char *dir)
{
    char path[PATH_MAX];
    int result = 0;

    if (join(path, dir, "cgroup.kill") && sys_cgroup_write(path, "1") == 0)
        return 0;
    if (join(path, dir, "freezer.state"))
        io_write_file_at(AT_FDCWD, path, "FROZEN");
    else
        path[0] = '\0';
    int r = cgroup_walk(dir, kill_in, &result);
    return r < 0 && r != -ENOENT ? r : result;
}

static int remove_one(const char *dir, void *data)
{
    int r = sys_cgroup_rmdir(dir);

    (void)data;
    return r == -ENOENT ? 0 : r;
}

/* "12 (sleep, state D)" for those that are left. */
static int name_left(pid_t pid, void *data)
{
    char path[64], stat[512] = "";

    if (pid == 0)
        return error_append(data, "; one of another PID namespace"), 0;
    snprintf(path, sizeof(path), "/proc/%d/stat", pid);
    if (io_read_small_at(AT_FDCWD, path, stat, sizeof(stat)) < 0)
        return 0;
    const char *name = strchr(stat, '(');
    const char *end = strrchr(stat, ')');
    if (name && end && end[1])
        error_append(data, "; %d %.*s in state %c", pid, (int)(end - name + 1), name, end[2]);
    return 0;
}

static int left_in(const char *dir, void *data)
{
    cgroup_each_pid(dir, name_left, data);
    return 0;
}

static int still_busy(const char *dir, int r, int killed, struct error *err)
{
    error_sys(err, -r, "remove the cgroup %s", dir);
    if (r != -EBUSY)
        return r;
    error_append(err, killed == -EPERM ? "; its processes may not be killed by this user"
                                       : "; processes in it do not end");
    if (err)
        cgroup_walk(dir, left_in, err);
    return r;
}

int cgroup_remove_tree(const char *dir, int64_t deadline_us, struct error *err)
{
    unsigned turn = 0;
    int killed = 0;

    for (;;) {
        int r = sys_cgroup_rmdir(dir);
        if (r == -EBUSY || r == -ENOTEMPTY)
            r = cgroup_walk(dir, remove_one, NULL);
        if (r == 0 || r == -ENOENT)
            return 0;
        if (r != -EBUSY || cgroup_now_us() >= deadline_us)
            return still_busy(dir, r, killed, err);
        killed = cgroup_kill_tree(dir);
        cgroup_pause(&turn);
    }
}
