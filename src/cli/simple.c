/* kill, stop, wait, pause, unpause, rm: one thing done to each sandbox that is named. */
#include <signal.h>

#include "cli/command.h"
#include "cli/select.h"
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

/* A command without options of its own. */
static int run_plain(struct cli *cli, int argc, char **argv, const char *name, const char *about,
        cli_each_fn fn, struct error *err)
{
    const struct option_command command = {
            .name = name, .usage = "SANDBOX…", .about = about, .least = 1, .most = SIZE_MAX};
    struct strv names = {0};
    int nothing = 0;
    int r = cli_parse(cli, &command, argc, argv, &nothing, &names, err);

    if (r != 0)
        return r < 0 ? r : 0;
    return cli_each(cli, &names, fn, NULL, err);
}

int cli_pause(struct cli *cli, int argc, char **argv, struct error *err)
{
    return run_plain(cli, argc, argv, "viv pause",
            "Freezes all processes of sandboxes: they keep their memory and get no time.",
            each_pause, err);
}

int cli_unpause(struct cli *cli, int argc, char **argv, struct error *err)
{
    return run_plain(
            cli, argc, argv, "viv unpause", "Lets frozen sandboxes go on.", each_unpause, err);
}

/* ---- kill ------------------------------------------------------------------------------------ */

struct kill_flags {
    const char *signal;
    bool all;
    int number;
};

static const struct option_row kill_rows[] = {
        OPTION('s', "signal", OPTION_TEXT, struct kill_flags, signal, "SIGNAL",
                "name or number (SIGKILL)"),
        OPTION('a', "all", OPTION_FLAG, struct kill_flags, all, NULL,
                "to every process, not only the first"),
};
static const struct option_table kill_table = OPTION_TABLE("Options", kill_rows);
static const struct option_command kill_command = {.name = "viv kill",
        .usage = "SANDBOX…",
        .about = "Sends a signal to the first process of sandboxes.",
        .least = 1,
        .most = SIZE_MAX,
        .tables = {&kill_table}};

static int each_kill(struct engine *engine, const char *name, void *data, struct error *err)
{
    const struct kill_flags *flags = data;

    return engine_kill(engine, name, flags->number, flags->all, err);
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
    return cli_each(cli, &names, each_kill, &flags, err);
}

/* ---- stop ------------------------------------------------------------------------------------ */

struct stop_flags {
    struct select_flags select;
    struct opt_i64 time;
};

static const struct option_row stop_rows[] = {
        SELECT_ROWS(struct stop_flags, select),
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
    int seconds = flags->time.set ? (int)flags->time.value : -1;

    return engine_stop(engine, name, seconds, err);
}

int cli_stop(struct cli *cli, int argc, char **argv, struct error *err)
{
    struct stop_flags flags = {0};
    struct strv names = {0};
    int r = cli_parse(cli, &stop_command, argc, argv, &flags, &names, err);

    if (r != 0)
        return r < 0 ? r : 0;
    if (flags.time.set && (flags.time.value < 0 || flags.time.value > 86400))
        return error_set(err, EINVAL, "--time %lld: seconds from 0 to 86400 are wanted",
                (long long)flags.time.value);
    r = select_names(cli, &flags.select, SELECT_ALIVE, &names, err);
    return r < 0 ? r : cli_each(cli, &names, each_stop, &flags, err);
}

/* ---- rm -------------------------------------------------------------------------------------- */

struct rm_flags {
    struct select_flags select;
    bool force, volumes;
};

static const struct option_row rm_rows[] = {
        SELECT_ROWS(struct rm_flags, select),
        OPTION('f', "force", OPTION_FLAG, struct rm_flags, force, NULL,
                "also those that run: they are killed"),
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
    int r = engine_remove(
            engine, name, &(struct engine_removal){flags->force, flags->volumes}, err);

    return r == -ENOENT && flags->force ? 0 : r;
}

int cli_rm(struct cli *cli, int argc, char **argv, struct error *err)
{
    struct rm_flags flags = {0};
    struct strv names = {0};
    int r = cli_parse(cli, &rm_command, argc, argv, &flags, &names, err);

    if (r != 0)
        return r < 0 ? r : 0;
    r = select_names(cli, &flags.select, SELECT_ANY, &names, err);
    return r < 0 ? r : cli_each(cli, &names, each_rm, &flags, err);
}

/* ---- wait ------------------------------------------------------------------------------------ */

struct wait_flags {
    const char *condition;
};

static const struct option_row wait_rows[] = {
        OPTION(0, "condition", OPTION_CHOICE, struct wait_flags, condition,
                "not-running|next-exit|exited|stopped|running|removed", "what to wait for"),
};
static const struct option_table wait_table = OPTION_TABLE("Options", wait_rows);
static const struct option_command wait_command = {.name = "viv wait",
        .usage = "SANDBOX…",
        .about = "Waits until sandboxes have ended, and prints the status of each.",
        .least = 1,
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
