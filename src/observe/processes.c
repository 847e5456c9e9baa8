#include "observe/processes.h"

#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "cgroup/group.h"
#include "engine/vm_call.h"
#include "observe/format.h"
#include "observe/table.h"

/* What /proc/PID tells (proc_pid_stat(5)), the host's or, of a machine, the guest's. */
struct process {
    const char *name, *command; /* nothing in them that a terminal would take for an order */
    int pid, parent, group, session, terminal;
    unsigned uid, gid;
    char state;
    long nice, threads;
    unsigned long long ticks; /* of CPU time */
    unsigned long long start; /* in ticks since the kernel's */
    long long age;            /* seconds */
    unsigned long long vsize; /* bytes */
    long rss;                 /* pages */
};

static bool parse_stat(const char *text, struct process *process)
{
    unsigned long long user = 0;
    unsigned long long kernel = 0;
    const char *rest = strrchr(text, ')'); /* a name may hold anything but this one, at its end */
    if (!rest || sscanf(rest + 1,
                         " %c %d %d %d %d %*d %*u %*u %*u %*u %*u %llu %llu %*d %*d %*d %ld %ld "
                         "%*d %llu %llu %ld",
                         &process->state, &process->parent, &process->group, &process->session,
                         &process->terminal, &user, &kernel, &process->nice, &process->threads,
                         &process->start, &process->vsize, &process->rss) != 12)
        return false;
    process->ticks = user + kernel;
    return true;
}

static unsigned long long ticks_per_second(void)
{
    return (unsigned long long)sysconf(_SC_CLK_TCK);
}

/* What others wrote, of words that each end with a zero, fit for a terminal. */
static char *printable(struct arena *arena, const char *data, size_t length)
{
    while (length && !data[length - 1])
        length--;
    char *text = arena_strndup(arena, data, length);
    for (size_t i = 0; i < length; i++)
        if (!text[i])
            text[i] = ' ';
    str_tame(text, "");
    return text;
}

/* The words of the command line, or the name in brackets when there are none. */
static const char *command_of(struct arena *arena, const char *name, const char *words)
{
    return *words || !*name ? words : arena_printf(arena, "[%s]", name);
}

static long long age_of(const struct process *process)
{
    struct timespec up;

    clock_gettime(CLOCK_BOOTTIME, &up);
    return up.tv_sec - (long long)(process->start / ticks_per_second());
}

/* False when it has ended. */
static bool read_process(struct arena *arena, int pid, struct process *process)
{
    _cleanup_buf_ struct buf words = {.max = 65536};
    char path[64], text[1024], name[64];
    struct stat found;

    *process = (struct process){.pid = pid};
    snprintf(path, sizeof(path), "/proc/%d/stat", pid);
    if (io_read_small_at(AT_FDCWD, path, text, sizeof(text)) < 0 || !parse_stat(text, process))
        return false;
    snprintf(path, sizeof(path), "/proc/%d", pid);
    if (stat(path, &found) < 0)
        return false;
    process->uid = found.st_uid;
    process->gid = found.st_gid;
    process->age = age_of(process);
    snprintf(path, sizeof(path), "/proc/%d/comm", pid);
    if (io_read_small_at(AT_FDCWD, path, name, sizeof(name)) < 0)
        return false;
    process->name = printable(arena, name, strlen(name));
    snprintf(path, sizeof(path), "/proc/%d/cmdline", pid);
    (void)io_read_file_at(AT_FDCWD, path, &words);
    process->command = command_of(
            arena, process->name, words.length ? printable(arena, words.data, words.length) : "");
    return true;
}

/* ---- of a machine ---------------------------------------------------------------------------- */

static const char *text_of(struct arena *arena, struct json_object *item, const char *member)
{
    const char *text = json_get_str(item, member);

    return text ? printable(arena, text, strlen(text)) : "";
}

/* What the agent tells of one; false for what cannot be. */
static bool take_process(struct arena *arena, struct json_object *item, struct process *process)
{
    const char *stat = json_get_str(item, "stat");

    *process = (struct process){.pid = (int)json_get_int(item, "pid", 0),
            .uid = (unsigned)json_get_int(item, "user", 0),
            .gid = (unsigned)json_get_int(item, "group", 0),
            .age = json_get_int(item, "age", 0),
            .name = text_of(arena, item, "name")};
    process->command = command_of(arena, process->name, text_of(arena, item, "command"));
    return stat && parse_stat(stat, process);
}

/* ---- columns --------------------------------------------------------------------------------- */

static const char *start_text(struct arena *arena, const struct process *process)
{
    time_t now = time(NULL);
    time_t when = now - (time_t)process->age;
    struct tm parts;
    char text[16];

    localtime_r(&when, &parts);
    strftime(text, sizeof(text), now - when < 86400 ? "%H:%M" : "%b%d", &parts);
    return arena_strdup(arena, text);
}

static const char *clock_text(struct arena *arena, unsigned long long seconds)
{
    return arena_printf(
            arena, "%02llu:%02llu:%02llu", seconds / 3600, seconds / 60 % 60, seconds % 60);
}

static const char *time_text(struct arena *arena, const struct process *process)
{
    return clock_text(arena, process->ticks / ticks_per_second());
}

static const char *age_text(struct arena *arena, const struct process *process)
{
    return clock_text(arena, (unsigned long long)process->age);
}

static const char *cpu_text(struct arena *arena, const struct process *process)
{
    double used = (double)process->ticks / (double)ticks_per_second();

    return arena_printf(arena, "%.1f", process->age > 0 ? used * 100 / (double)process->age : 0);
}

static const char *name_text(struct arena *arena, const struct process *process)
{
    (void)arena;
    return process->name;
}

static const char *command_text(struct arena *arena, const struct process *process)
{
    (void)arena;
    return process->command;
}

static const char *terminal_text(struct arena *arena, const struct process *process)
{
    int major = process->terminal >> 8 & 0xfff;

    if (!process->terminal)
        return "?";
    if (major == 136)
        return arena_printf(arena, "pts/%d", process->terminal & 0xff);
    return arena_printf(arena, "%d:%d", major, process->terminal & 0xff);
}

static const char *state_text(struct arena *arena, const struct process *process)
{
    return arena_printf(arena, "%c", process->state);
}

/* Plain numbers of the struct, so that most columns need no function. */
enum number { PID = 1, PPID, PGID, SID, UID, GID, NICE, THREADS, VSZ, RSS };

static const char *number_text(
        struct arena *arena, const struct process *process, enum number number)
{
    const long long values[] = {[PID] = process->pid,
            [PPID] = process->parent,
            [PGID] = process->group,
            [SID] = process->session,
            [UID] = process->uid,
            [GID] = process->gid,
            [NICE] = process->nice,
            [THREADS] = process->threads,
            [VSZ] = (long long)(process->vsize / 1024),
            [RSS] = (long long)process->rss * (sysconf(_SC_PAGESIZE) / 1024)};

    return arena_printf(arena, "%lld", values[number]);
}

static const struct column {
    const char *name;
    const char *heading;
    enum number number; /* or: */
    const char *(*text)(struct arena *arena, const struct process *process);
} columns[] = {
        {"uid", "UID", UID, NULL},
        {"user", "USER", UID, NULL},
        {"gid", "GID", GID, NULL},
        {"group", "GROUP", GID, NULL},
        {"pid", "PID", PID, NULL},
        {"ppid", "PPID", PPID, NULL},
        {"pgid", "PGID", PGID, NULL},
        {"sid", "SID", SID, NULL},
        {"nice", "NI", NICE, NULL},
        {"ni", "NI", NICE, NULL},
        {"nlwp", "NLWP", THREADS, NULL},
        {"vsz", "VSZ", VSZ, NULL},
        {"rss", "RSS", RSS, NULL},
        {"state", "S", 0, state_text},
        {"stat", "STAT", 0, state_text},
        {"s", "S", 0, state_text},
        {"tty", "TTY", 0, terminal_text},
        {"pcpu", "%CPU", 0, cpu_text},
        {"%cpu", "%CPU", 0, cpu_text},
        {"c", "C", 0, cpu_text},
        {"stime", "STIME", 0, start_text},
        {"start", "START", 0, start_text},
        {"time", "TIME", 0, time_text},
        {"etime", "ELAPSED", 0, age_text},
        {"comm", "COMMAND", 0, name_text},
        {"cmd", "CMD", 0, command_text},
        {"args", "COMMAND", 0, command_text},
        {"command", "COMMAND", 0, command_text},
};

static const struct column *find_column(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(columns); i++)
        if (strcasecmp(columns[i].name, name) == 0)
            return &columns[i];
    return NULL;
}

/* What people write for ps(1), and what it stands for. */
static const char *expand(const char *word)
{
    static const char *const usual[][2] = {{"-ef", "uid,pid,ppid,c,stime,tty,time,cmd"},
            {"-f", "uid,pid,ppid,c,stime,tty,time,cmd"},
            {"aux", "user,pid,%cpu,vsz,rss,tty,stat,start,time,command"},
            {"-aux", "user,pid,%cpu,vsz,rss,tty,stat,start,time,command"},
            {"-e", "pid,tty,time,comm"}, {"-o", ""}, {"-eo", ""}};

    for (size_t i = 0; i < ARRAY_SIZE(usual); i++)
        if (str_equal(usual[i][0], word))
            return usual[i][1];
    return str_starts(word, "-o") ? word + 2 : str_starts(word, "-eo") ? word + 3 : word;
}

struct choice {
    const struct column *columns[TABLE_COLUMNS_MAX];
    size_t count;
};

static int choose(
        struct arena *arena, const struct strv *words, struct choice *ret, struct error *err)
{
    struct strv names = {0};
    const char *word;

    strv_foreach (word, words) {
        strv_split(arena, &names, expand(word), ',');
    }
    if (!words->count)
        strv_split(arena, &names, "uid,pid,ppid,stime,time,cmd", ',');
    strv_foreach (word, &names) {
        const struct column *column = find_column(word);
        if (!*word)
            continue;
        if (!column)
            return error_set(err, EINVAL,
                    "top: \"%.64s\" is no column: there are uid, user, gid, group, pid, ppid, "
                    "pgid, "
                    "sid, nice, nlwp, vsz, rss, state, tty, pcpu, stime, time, etime, comm and "
                    "args; -ef, aux and -o COLUMN,… stand for some of them",
                    word);
        if (ret->count == TABLE_COLUMNS_MAX)
            return error_set(err, E2BIG, "top: at most %d columns", TABLE_COLUMNS_MAX);
        ret->columns[ret->count++] = column;
    }
    return ret->count ? 0 : error_set(err, EINVAL, "top: -o: name columns");
}

static void add_row(struct table *table, const struct choice *choice, const struct process *process)
{
    const char *cells[TABLE_COLUMNS_MAX];

    for (size_t i = 0; i < choice->count; i++) {
        const struct column *column = choice->columns[i];
        cells[i] = column->text ? column->text(table->arena, process)
                                : number_text(table->arena, process, column->number);
    }
    table_add(table, cells);
}

static int add_processes(struct table *table, const struct choice *choice, struct sandbox *sandbox,
        struct error *err)
{
    struct process process;
    struct cgroup_pids pids;
    int r = cgroup_list(&sandbox->container.state.cgroup, table->arena, &pids, err);

    for (size_t i = 0; r == 0 && i < pids.count; i++)
        if (read_process(table->arena, pids.items[i], &process))
            add_row(table, choice, &process);
    return r;
}

/* By the numbers that they have inside. */
static int add_machine_processes(struct table *table, const struct choice *choice,
        struct sandbox *sandbox, struct error *err)
{
    _cleanup_json_ struct json_object *list = NULL;
    struct agent_call call = {.verb = "ps"};
    struct process process;
    int r = vm_call(&sandbox->container, &call, &list, err);

    if (r < 0)
        return r;
    if (!json_object_is_type(list, json_type_array))
        return error_set(err, EPROTO, "the machine's agent did not answer with a list");
    for (size_t i = 0; i < json_object_array_length(list); i++)
        if (take_process(table->arena, json_object_array_get_idx(list, i), &process))
            add_row(table, choice, &process);
    return 0;
}

/* Each row as an object, by the headings. */
static struct json_object *as_objects(const struct table *table)
{
    struct json_object *list = json_object_new_array();

    for (size_t at = table->columns; at < table->cells.count; at += table->columns) {
        struct json_object *row = json_object_new_object();
        for (size_t i = 0; i < table->columns; i++)
            json_add_str(row, table->cells.words[i], table->cells.words[at + i]);
        json_object_array_add(list, row);
    }
    return list;
}

static int print(const struct table *table, const char *format, FILE *out, struct error *err)
{
    if (!format || str_equal(format, "table")) {
        table_print(table, out);
        return 0;
    }
    _cleanup_json_ struct json_object *list = as_objects(table);
    return format_print(table->arena, format, &(struct format_list){0}, list, out, err);
}

int processes_print(struct engine *engine, const char *name, const struct strv *words,
        const char *format, FILE *out, struct error *err)
{
    struct table table = {.arena = engine->arena};
    _cleanup_sandbox_ struct sandbox sandbox = {.record_fd = -1};
    const char *heading[TABLE_COLUMNS_MAX];
    struct choice choice = {.count = 0};
    int r = choose(engine->arena, words, &choice, err);

    if (r == 0)
        r = engine_find(engine, name, &sandbox, err);
    if (r < 0)
        return r;
    if (!sandbox_has_run(&sandbox) || sandbox.status == SPEC_STOPPED)
        return error_set(err, ESRCH, "sandbox \"%s\" is not running", sandbox.meta.name);
    table.columns = choice.count;
    for (size_t i = 0; i < choice.count; i++)
        heading[i] = choice.columns[i]->heading;
    table_add(&table, heading);
    r = vm_is(&sandbox.container) ? add_machine_processes(&table, &choice, &sandbox, err)
                                  : add_processes(&table, &choice, &sandbox, err);
    return r < 0 ? r : print(&table, format, out, err);
}
