#include "guest/ps.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/io.h"
#include "cgroup/group.h"

#define COMMAND_MAX 512

static void read_command(pid_t pid, struct json_object *into)
{
    char path[64], text[COMMAND_MAX];
    _cleanup_buf_ struct buf line = {.max = 1 << 20};

    snprintf(path, sizeof(path), "/proc/%d/cmdline", pid);
    if (io_read_file_at(AT_FDCWD, path, &line) == 0 && line.length) {
        size_t length = line.length < sizeof(text) ? line.length : sizeof(text);
        memcpy(text, line.data, length);
        for (size_t i = 0; i < length; i++)
            if (!text[i])
                text[i] = i + 1 < length ? ' ' : '\0';
        text[length - 1] = '\0';
    } else {
        snprintf(path, sizeof(path), "/proc/%d/comm", pid);
        if (io_read_small_at(AT_FDCWD, path, text, sizeof(text)) < 0)
            text[0] = '\0';
    }
    json_add_str(into, "command", text);
}

/* Seconds, of a process that was started so many ticks after the kernel. */
static int64_t age_of(unsigned long long start)
{
    struct timespec up;

    clock_gettime(CLOCK_BOOTTIME, &up);
    return up.tv_sec - (int64_t)(start / (unsigned long long)sysconf(_SC_CLK_TCK));
}

static void add_process(pid_t pid, struct json_object *list)
{
    char path[64], stat_text[1024], name[64];
    unsigned long long start = 0;
    struct stat owner = {0};
    int parent = 0;

    snprintf(path, sizeof(path), "/proc/%d", pid);
    if (stat(path, &owner) < 0)
        return; /* it has ended */
    snprintf(path, sizeof(path), "/proc/%d/stat", pid);
    if (io_read_small_at(AT_FDCWD, path, stat_text, sizeof(stat_text)) < 0)
        return;
    const char *behind = strrchr(stat_text, ')'); /* the name may hold anything */
    if (!behind ||
            sscanf(behind,
                    ") %*c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %llu",
                    &parent, &start) != 2)
        return;
    snprintf(path, sizeof(path), "/proc/%d/comm", pid);
    if (io_read_small_at(AT_FDCWD, path, name, sizeof(name)) < 0)
        return;
    struct json_object *object = json_object_new_object();
    json_object_object_add(object, "pid", json_object_new_int(pid));
    json_object_object_add(object, "ppid", json_object_new_int(parent));
    json_object_object_add(object, "user", json_object_new_int64(owner.st_uid));
    json_object_object_add(object, "group", json_object_new_int64(owner.st_gid));
    json_object_object_add(object, "age", json_object_new_int64(age_of(start)));
    json_add_str(object, "name", name);
    json_add_str(object, "stat", stat_text);
    read_command(pid, object);
    json_object_array_add(list, object);
}

int guest_list_processes(
        const struct cgroup_saved *cgroup, struct json_object **ret, struct error *err)
{
    _cleanup_arena_ struct arena arena = {0};
    struct cgroup_pids pids = {0};
    int r = cgroup_list(cgroup, &arena, &pids, err);

    if (r < 0)
        return r;
    struct json_object *list = json_object_new_array();
    for (size_t i = 0; i < pids.count; i++)
        add_process(pids.items[i], list);
    *ret = list;
    return 0;
}
