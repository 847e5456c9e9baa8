/* start, restart: sandboxes that have a record, once more. */
#include "cli/command.h"
#include "cli/detachkeys.h"
#include "cli/select.h"
#include "cli/stopping.h"

/* ---- start ----------------------------------------------------------------------------------- */

struct start_flags {
    struct select_flags select;
    bool attach, interactive;
    struct opt_bool sig_proxy;
    const char *detach_keys;
};

static const struct option_row start_rows[] = {
        OPTION(0, "all", OPTION_FLAG, struct start_flags, select.all, NULL, "all that do not run"),
        SELECT_ROWS_PLAIN(struct start_flags, select),
        OPTION('a', "attach", OPTION_FLAG, struct start_flags, attach, NULL,
                "stay at its streams; the status is the workload's"),
        OPTION('i', "interactive", OPTION_FLAG, struct start_flags, interactive, NULL,
                "stay, and pass input on"),
        OPTION(0, "sig-proxy", OPTION_SWITCH, struct start_flags, sig_proxy, NULL,
                "--sig-proxy=false: signals end the command, not the workload"),
        OPTION(0, "detach-keys", OPTION_TEXT, struct start_flags, detach_keys, "KEYS",
                "what leaves a terminal (ctrl-p,ctrl-q)"),
};
static const struct option_table start_table = OPTION_TABLE("Options", start_rows);
static const struct option_command start_command = {.name = "viv start",
        .usage = "SANDBOX…",
        .about = "Starts sandboxes that were created, or have ended. One that runs is left alone.",
        .most = SIZE_MAX,
        .tables = {&start_table}};

static void tell_all(const struct strv *told)
{
    const char *line;

    strv_foreach (line, told) {
        cli_tell("%s", line);
    }
}

/* A sandbox without a user namespace of its own has root's ids: see cli_protect(). */
static int protect(struct cli *cli, struct engine *engine, const char *name, struct error *err)
{
    _cleanup_sandbox_ struct sandbox sandbox = {.record_fd = -1};
    int r = engine_find(engine, name, &sandbox, err);

    return r < 0 || sandbox.meta.userns_auto ? r : cli_protect(cli, err);
}

/* What each start wants beside the name. */
struct starting {
    struct cli *cli;
    struct engine_start start;
    struct engine_stopping stopping; /* restart */
    int status;
};

static int each_start(struct engine *engine, const char *name, void *data, struct error *err)
{
    struct starting *starting = data;
    struct strv told = {0};

    starting->start.name = name;
    starting->start.told = &told;
    int r = protect(starting->cli, engine, name, err);
    if (r == 0)
        r = engine_start(engine, &starting->start, &starting->status, err);
    tell_all(&told);
    return r;
}

int cli_start(struct cli *cli, int argc, char **argv, struct error *err)
{
    struct start_flags flags = {0};
    struct strv names = {0};
    struct starting starting = {.cli = cli};
    int r = cli_parse(cli, &start_command, argc, argv, &flags, &names, err);

    if (r != 0)
        return r < 0 ? r : 0;
    r = select_names(cli, &flags.select, SELECT_DEAD, &names, err);
    if (r < 0)
        return r;
    if (!flags.attach && !flags.interactive)
        return cli_each(cli, &names, each_start, &starting, err);
    if (names.count != 1)
        return error_set(err, EINVAL, "--attach: one sandbox at a time can be stayed at");
    _cleanup_engine_ struct engine engine = {0};
    starting.start.attach = true;
    starting.start.interactive = flags.interactive;
    starting.start.signals = !flags.sig_proxy.set || flags.sig_proxy.value;
    r = detach_keys_read(cli->arena, flags.detach_keys, &starting.start.detach_keys, err);
    if (r == 0)
        r = engine_open(cli->arena, cli->root, &engine, err);
    if (r == 0)
        r = each_start(&engine, names.words[0], &starting, err);
    return r < 0 ? r : starting.status;
}

/* ---- restart --------------------------------------------------------------------------------- */

struct restart_flags {
    struct select_flags select;
    struct opt_i64 time;
    const char *signal;
    bool running;
};

static const struct option_row restart_rows[] = {
        SELECT_ROWS(struct restart_flags, select),
        OPTION(0, "running", OPTION_FLAG, struct restart_flags, running, NULL, "all that run"),
        OPTION('s', "signal", OPTION_TEXT, struct restart_flags, signal, "SIGNAL",
                "what is sent first (the sandbox's choice, or SIGTERM)"),
        OPTION('t', "time", OPTION_NUMBER, struct restart_flags, time, "SECONDS",
                "how long to wait before SIGKILL (the sandbox's choice, or 10)"),
        OPTION(0, "timeout", OPTION_NUMBER, struct restart_flags, time, "SECONDS", NULL),
};
static const struct option_table restart_table = OPTION_TABLE("Options", restart_rows);
static const struct option_command restart_command = {.name = "viv restart",
        .usage = "SANDBOX…",
        .about = "Stops sandboxes that run, and starts them again.",
        .most = SIZE_MAX,
        .tables = {&restart_table}};

static int each_restart(struct engine *engine, const char *name, void *data, struct error *err)
{
    const struct starting *starting = data;
    int r = protect(starting->cli, engine, name, err);

    if (r == 0)
        r = engine_stop(engine, name, &starting->stopping, err);
    return r < 0 ? r : each_start(engine, name, data, err);
}

int cli_restart(struct cli *cli, int argc, char **argv, struct error *err)
{
    struct restart_flags flags = {0};
    struct strv names = {0};
    struct starting starting = {.cli = cli};
    int r = cli_parse(cli, &restart_command, argc, argv, &flags, &names, err);

    if (r != 0)
        return r < 0 ? r : 0;
    flags.select.all = flags.select.all || flags.running;
    r = stopping_read(&flags.time, flags.signal, &starting.stopping, err);
    if (r == 0)
        r = select_names(
                cli, &flags.select, flags.running ? SELECT_ALIVE : SELECT_ANY, &names, err);
    return r < 0 ? r : cli_each(cli, &names, each_restart, &starting, err);
}
