#include "observe/processes.h"

#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/io.h"
#include "cgroup/group.h"
#include "observe/table.h"

/* What /proc/PID tells (proc_pid_stat(5)). */
struct process {
    int pid, parent;
    unsigned uid;
    unsigned long long ticks; /* of CPU time */
    unsigned long long start; /* in ticks since the host's start */
    const char *command;
};

static bool read_stat(struct process *process)
{
    char path[64];
    char text[1024];
    unsigned long long user = 0;
    unsigned long long kernel = 0;
    struct stat found;

    snprintf(path, sizeof(path), "/proc/%d/stat", process->pid);
    if (io_read_small_at(AT_FDCWD, path, text, sizeof(text)) < 0)
        return false;
    const char *rest = strrchr(text, ')'); /* a name may hold anything but this one, at its end */
    if (!rest || sscanf(rest + 1,
                         " %*c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu %*d %*d %*d %*d "
                         "%*d %*d %llu",
                         &process->parent, &user, &kernel, &process->start) != 4)
        return false;
    process->ticks = user + kernel;
    snprintf(path, sizeof(path), "/proc/%d", process->pid);
    process->uid = stat(path, &found) == 0 ? found.st_uid : 0;
    return true;
}

/* The words of the command line, or the name in brackets when there are none. What is no printable
 * character would reach the terminal. */
static const char *read_command(struct arena *arena, int pid)
{
    _cleanup_buf_ struct buf text = {.max = 65536};
    char path[64];
    char name[64];

    snprintf(path, sizeof(path), "/proc/%d/cmdline", pid);
    io_read_file_at(AT_FDCWD, path, &text);
    while (text.length && !text.data[text.length - 1])
        text.length--;
    for (size_t i = 0; i < text.length; i++)
        if ((unsigned char)text.data[i] < ' ' || text.data[i] == 127)
            text.data[i] = text.data[i] ? '?' : ' ';
    if (text.length)
        return arena_strndup(arena, text.data, text.length);
    snprintf(path, sizeof(path), "/proc/%d/comm", pid);
    if (io_read_small_at(AT_FDCWD, path, name, sizeof(name)) < 0)
        return "";
    return arena_printf(arena, "[%s]", name);
}

static const char *start_text(struct arena *arena, const struct process *process)
{
    struct timespec up, now;
    struct tm parts;
    char text[16];

    clock_gettime(CLOCK_BOOTTIME, &up);
    clock_gettime(CLOCK_REALTIME, &now);
    time_t since = (time_t)(process->start / (unsigned long long)sysconf(_SC_CLK_TCK));
    time_t when = now.tv_sec - up.tv_sec + since;
    localtime_r(&when, &parts);
    strftime(text, sizeof(text), now.tv_sec - when < 86400 ? "%H:%M" : "%b%d", &parts);
    return arena_strdup(arena, text);
}

static const char *time_text(struct arena *arena, const struct process *process)
{
    unsigned long long seconds = process->ticks / (unsigned long long)sysconf(_SC_CLK_TCK);

    return arena_printf(
            arena, "%02llu:%02llu:%02llu", seconds / 3600, seconds / 60 % 60, seconds % 60);
}

static void add_row(struct table *table, const struct process *process)
{
    struct arena *arena = table->arena;
    const char *cells[] = {arena_printf(arena, "%u", process->uid),
            arena_printf(arena, "%d", process->pid), arena_printf(arena, "%d", process->parent),
            start_text(arena, process), time_text(arena, process), process->command};

    table_add(table, cells);
}

int processes_print(struct engine *engine, const char *name, FILE *out, struct error *err)
{
    static const char *const heading[] = {"UID", "PID", "PPID", "STIME", "TIME", "CMD"};
    struct table table = {.arena = engine->arena, .columns = 6};
    _cleanup_sandbox_ struct sandbox sandbox = {.record_fd = -1};
    struct cgroup_pids pids;
    int r = engine_find(engine, name, &sandbox, err);

    if (r < 0)
        return r;
    if (!sandbox_has_run(&sandbox) || sandbox.status == SPEC_STOPPED)
        return error_set(err, ESRCH, "sandbox \"%s\" is not running", sandbox.meta.name);
    r = cgroup_list(&sandbox.container.state.cgroup, engine->arena, &pids, err);
    if (r < 0)
        return r;
    table_add(&table, heading);
    for (size_t i = 0; i < pids.count; i++) {
        struct process process = {.pid = pids.items[i]};
        if (!read_stat(&process))
            continue; /* it has ended meanwhile */
        process.command = read_command(engine->arena, process.pid);
        add_row(&table, &process);
    }
    table_print(&table, out);
    return 0;
}
