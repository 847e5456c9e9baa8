/* kill, stop, wait, pause, unpause, rm: one thing done to each sandbox that is named. */
#include <signal.h>

#include "cli/command.h"
#include "cli/select.h"
#include "cli/stopping.h"
#include "engine/events.h"
#include "spec/signals.h"

static int each_pause(struct engine *engine, const char *name, void *data, struct error *err)
{
    _cleanup_sandbox_ struct sandbox sandbox = {.record_fd = -1};
    int r = engine_find(engine, name, &sandbox, err);

    (void)data;
    if (r == 0)
        r = container_pause(&sandbox.container, err);
    if (r == 0)
        event_of(engine, &sandbox.meta, "pause", NULL, NULL);
    return r;
}

static int each_unpause(struct engine *engine, const char *name, void *data, struct error *err)
{
    _cleanup_sandbox_ struct sandbox sandbox = {.record_fd = -1};
    int r = engine_find(engine, name, &sandbox, err);

    (void)data;
    if (r == 0)
        r = container_resume(&sandbox.container, err);
    if (r == 0)
        event_of(engine, &sandbox.meta, "unpause", NULL, NULL);
    return r;
}

struct freeze_flags {
    struct select_flags select;
};

static const struct option_row freeze_rows[] = {SELECT_ROWS(struct freeze_flags, select)};
static const struct option_table freeze_table = OPTION_TABLE("Options", freeze_rows);

/* One that is frozen already, or runs already, is no part of --all. */
static int run_freeze(struct cli *cli, int argc, char **argv, const struct option_command *command,
        enum select_state state, struct error *err)
{
    struct freeze_flags flags = {0};
    struct strv names = {0};
    int r = cli_parse(cli, command, argc, argv, &flags, &names, err);

    if (r != 0)
        return r < 0 ? r : 0;
    r = select_names(cli, &flags.select, state, &names, err);
    if (r < 0)
        return r;
    return cli_each(cli, &names, state == SELECT_RUNNING ? each_pause : each_unpause, NULL, err);
}

int cli_pause(struct cli *cli, int argc, char **argv, struct error *err)
{
    static const struct option_command command = {.name = "viv pause",
            .usage = "SANDBOX…",
            .about = "Freezes all processes of sandboxes: they keep their memory and get no time.",
            .most = SIZE_MAX,
            .tables = {&freeze_table}};

    return run_freeze(cli, argc, argv, &command, SELECT_RUNNING, err);
}

int cli_unpause(struct cli *cli, int argc, char **argv, struct error *err)
{
    static const struct option_command command = {.name = "viv unpause",
            .usage = "SANDBOX…",
            .about = "Lets frozen sandboxes go on.",
            .most = SIZE_MAX,
            .tables = {&freeze_table}};

    return run_freeze(cli, argc, argv, &command, SELECT_PAUSED, err);
}

/* ---- kill ------------------------------------------------------------------------------------ */

struct kill_flags {
    struct select_flags select;
    const char *signal;
    bool every;
    int number;
};

static const struct option_row kill_rows[] = {
        OPTION('s', "signal", OPTION_TEXT, struct kill_flags, signal, "SIGNAL",
                "name or number (SIGKILL)"),
        SELECT_ROWS(struct kill_flags, select),
        OPTION(0, "processes", OPTION_FLAG, struct kill_flags, every, NULL,
                "to every process of it, not only the first"),
};
static const struct option_table kill_table = OPTION_TABLE("Options", kill_rows);
static const struct option_command kill_command = {.name = "viv kill",
        .usage = "SANDBOX…",
        .about = "Sends a signal to the first process of sandboxes.",
        .most = SIZE_MAX,
        .tables = {&kill_table}};

static int each_kill(struct engine *engine, const char *name, void *data, struct error *err)
{
    const struct kill_flags *flags = data;

    return engine_kill(engine, name, flags->number, flags->every, err);
}

int cli_kill(struct cli *cli, int argc, char **argv, struct error *err)
{
    struct kill_flags flags = {.number = SIGKILL};
    struct strv names = {0};
    int r = cli_parse(cli, &kill_command, argc, argv, &flags, &names, err);

    if (r != 0)
        return r < 0 ? r : 0;
    if (flags.signal && signal_parse(flags.signal, &flags.number, err) < 0)
        return -EINVAL;
    r = select_names(cli, &flags.select, SELECT_RUNNING, &names, err);
    return r < 0 ? r : cli_each(cli, &names, each_kill, &flags, err);
}

/* ---- stop ------------------------------------------------------------------------------------ */

struct stop_flags {
    struct select_flags select;
    struct opt_i64 time;
    const char *signal;
    struct engine_stopping stopping;
};

static const struct option_row stop_rows[] = {
        SELECT_ROWS(struct stop_flags, select),
        SELECT_IGNORE_ROW(struct stop_flags, select),
        OPTION('s', "signal", OPTION_TEXT, struct stop_flags, signal, "SIGNAL",
                "what is sent first (the sandbox's choice, or SIGTERM)"),
        OPTION('t', "time", OPTION_NUMBER, struct stop_flags, time, "SECONDS",
                "how long to wait before SIGKILL (the sandbox's choice, or 10)"),
        OPTION(0, "timeout", OPTION_NUMBER, struct stop_flags, time, "SECONDS", NULL),
};
static const struct option_table stop_table = OPTION_TABLE("Options", stop_rows);
static const struct option_command stop_command = {.name = "viv stop",
        .usage = "SANDBOX…",
        .about = "Asks workloads to end by their stop signal, and ends them when they do not.",
        .most = SIZE_MAX,
        .tables = {&stop_table}};

static int each_stop(struct engine *engine, const char *name, void *data, struct error *err)
{
    const struct stop_flags *flags = data;

    return engine_stop(engine, name, &flags->stopping, err);
}

int cli_stop(struct cli *cli, int argc, char **argv, struct error *err)
{
    struct stop_flags flags = {0};
    struct strv names = {0};
    int r = cli_parse(cli, &stop_command, argc, argv, &flags, &names, err);

    if (r != 0)
        return r < 0 ? r : 0;
    r = stopping_read(&flags.time, flags.signal, &flags.stopping, err);
    if (r == 0)
        r = select_names(cli, &flags.select, SELECT_ALIVE, &names, err);
    return r < 0 ? r : cli_each(cli, &names, each_stop, &flags, err);
}

/* ---- rm -------------------------------------------------------------------------------------- */

struct rm_flags {
    struct select_flags select;
    bool force, volumes;
    struct opt_i64 time;
    struct engine_stopping stopping;
};

static const struct option_row rm_rows[] = {
        SELECT_ROWS(struct rm_flags, select),
        SELECT_IGNORE_ROW(struct rm_flags, select),
        OPTION('f', "force", OPTION_FLAG, struct rm_flags, force, NULL,
                "also those that run: they are killed"),
        OPTION('t', "time", OPTION_NUMBER, struct rm_flags, time, "SECONDS",
                "with --force: stop those that run, and wait so long before SIGKILL"),
        OPTION('v', "volumes", OPTION_FLAG, struct rm_flags, volumes, NULL,
                "their volumes without a name too"),
};
static const struct option_table rm_table = OPTION_TABLE("Options", rm_rows);
static const struct option_command rm_command = {.name = "viv rm",
        .usage = "SANDBOX…",
        .about = "Takes sandboxes away, with their logs.",
        .most = SIZE_MAX,
        .tables = {&rm_table}};

static int each_rm(struct engine *engine, const char *name, void *data, struct error *err)
{
    const struct rm_flags *flags = data;
    const struct engine_removal removal = {
            flags->force, flags->volumes, flags->time.set ? flags->stopping.timeout_s : 0};
    int r = engine_remove(engine, name, &removal, err);

    return r == -ENOENT && flags->force ? CLI_UNSAID : r;
}

int cli_rm(struct cli *cli, int argc, char **argv, struct error *err)
{
    struct rm_flags flags = {0};
    struct strv names = {0};
    int r = cli_parse(cli, &rm_command, argc, argv, &flags, &names, err);

    if (r != 0)
        return r < 0 ? r : 0;
    if (flags.time.set && !flags.force)
        return error_set(err, EINVAL, "--time: without --force nothing is stopped");
    r = stopping_read(&flags.time, NULL, &flags.stopping, err);
    if (r == 0)
        r = select_names(cli, &flags.select, SELECT_ANY, &names, err);
    return r < 0 ? r : cli_each(cli, &names, each_rm, &flags, err);
}

/* ---- wait ------------------------------------------------------------------------------------ */

struct wait_flags {
    const char *condition;
    struct opt_i64 interval;
    struct select_flags select;
};

static const struct option_row wait_rows[] = {
        OPTION(0, "condition", OPTION_CHOICE, struct wait_flags, condition,
                "not-running|next-exit|exited|stopped|running|removed", "what to wait for"),
        SELECT_LATEST_ROW(struct wait_flags, select.latest),
        SELECT_IGNORE_ROW(struct wait_flags, select),
        OPTION(0, "interval", OPTION_TIME, struct wait_flags, interval, "TIME",
                "understood for Podman's sake: the end is seen at once"),
};
static const struct option_table wait_table = OPTION_TABLE("Options", wait_rows);
static const struct option_command wait_command = {.name = "viv wait",
        .usage = "SANDBOX…",
        .about = "Waits until sandboxes have ended, and prints the status of each.",
        .most = SIZE_MAX,
        .tables = {&wait_table}};

static enum wait_condition condition_of(const char *word)
{
    if (str_equal(word, "next-exit"))
        return WAIT_NEXT_EXIT;
    if (str_equal(word, "running"))
        return WAIT_RUNNING;
    return str_equal(word, "removed") ? WAIT_REMOVED : WAIT_NOT_RUNNING;
}

int cli_wait(struct cli *cli, int argc, char **argv, struct error *err)
{
    _cleanup_engine_ struct engine engine = {0};
    struct wait_flags flags = {0};
    struct strv names = {0};
    const char *name;
    int r = cli_parse(cli, &wait_command, argc, argv, &flags, &names, err);

    if (r != 0)
        return r < 0 ? r : 0;
    r = select_names(cli, &flags.select, SELECT_ANY, &names, err);
    if (r == 0)
        r = engine_open(cli->arena, cli->root, &engine, err);
    strv_foreach (name, &names) {
        int status;
        if (r == 0)
            r = engine_wait(&engine, name, condition_of(flags.condition), &status, err);
        if (r < 0)
            return r;
        printf("%d\n", status);
        fflush(stdout);
    }
    return r;
}
