/* container: the commands on sandboxes under one name. */
#include "base/cleanup.h"
#include "cli/command.h"
#include "cli/imagecommands.h"
#include "cli/inspect.h"
#include "cli/select.h"
#include "observe/listing.h"

static int inspect_container(struct engine *engine, const char *name,
        const struct inspect_choice *choice, struct json_object **ret, struct error *err)
{
    return listing_inspect(engine, name, choice->size, ret, err);
}

static int inspect(struct cli *cli, int argc, char **argv, struct error *err)
{
    static const struct inspect_kind kind = {.command = "viv container inspect",
            .usage = "SANDBOX…",
            .about = "Shows everything about sandboxes: configuration, state, how they ended.",
            .inspect_by = inspect_container};

    return inspect_run(cli, &kind, argc, argv, err);
}

/* ---- exists ---------------------------------------------------------------------------------- */

static int exists(struct cli *cli, int argc, char **argv, struct error *err)
{
    static const struct option_command command = {.name = "viv container exists",
            .usage = "SANDBOX",
            .about = "Ends with 0 when there is such a sandbox, with 1 when there is none.",
            .least = 1,
            .most = 1};
    _cleanup_engine_ struct engine engine = {0};
    _cleanup_sandbox_ struct sandbox sandbox = {.record_fd = -1};
    struct strv rest = {0};
    int r = cli_open(cli, &command, argc, argv, NULL, &rest, &engine, err);

    if (r != 0)
        return r < 0 ? r : 0;
    return engine_find(&engine, rest.words[0], &sandbox, NULL) < 0;
}

/* ---- prune ----------------------------------------------------------------------------------- */

struct prune_flags {
    struct select_flags select;
    bool force;
};

static const struct option_row prune_rows[] = {
        OPTION('f', "force", OPTION_FLAG, struct prune_flags, force, NULL, "do not ask"),
        OPTION(0, "filter", OPTION_LIST, struct prune_flags, select.filter, "KEY=VALUE",
                "those that pass, as viv ps has them"),
};
static const struct option_table prune_table = OPTION_TABLE("Options", prune_rows);

static int remove_ended(struct engine *engine, const char *name, void *data, struct error *err)
{
    const struct engine_removal removal = {0};

    (void)data;
    return engine_remove(engine, name, &removal, err);
}

static int prune(struct cli *cli, int argc, char **argv, struct error *err)
{
    static const struct option_command command = {.name = "viv container prune",
            .about = "Takes away all sandboxes that do not run, and prints their names.",
            .tables = {&prune_table}};
    struct prune_flags flags = {.select = {.all = true}};
    struct strv names = {0};
    int r = cli_parse(cli, &command, argc, argv, &flags, &names, err);

    if (r != 0)
        return r < 0 ? r : 0;
    if (!cli_sure(flags.force, "Take away all sandboxes that do not run?"))
        return 0;
    r = select_names(cli, &flags.select, SELECT_DEAD, &names, err);
    return r < 0 ? r : cli_each(cli, &names, remove_ended, NULL, err);
}

static const struct cli_command commands[] = {
        {"attach", NULL, "sit at its streams", cli_attach},
        {"commit", NULL, "make an image of what it has changed", cli_commit},
        {"cp", NULL, "copy files into and out of it", cli_cp},
        {"create", NULL, "make one that is not started yet", cli_create},
        {"diff", NULL, "list what it has changed", cli_diff},
        {"exec", NULL, "run one more process in it", cli_exec},
        {"exists", NULL, "tell by the exit status whether it is there", exists},
        {"export", NULL, "write its root as a tarball", cli_export},
        {"inspect", NULL, "show everything about sandboxes", inspect},
        {"kill", NULL, "send sandboxes a signal", cli_kill},
        {"logs", NULL, "show what it has printed", cli_logs},
        {"ls", NULL, "list sandboxes", cli_ps},
        {"pause", NULL, "freeze sandboxes", cli_pause},
        {"port", NULL, "show where its published ports are", cli_port},
        {"prune", NULL, "take away those that do not run", prune},
        {"ps", NULL, "list sandboxes", cli_ps},
        {"rename", NULL, "give it another name", cli_rename},
        {"restart", NULL, "stop sandboxes and start them again", cli_restart},
        {"rm", NULL, "take sandboxes away", cli_rm},
        {"run", NULL, "make one and run a workload in it", cli_run},
        {"start", NULL, "start sandboxes", cli_start},
        {"stats", NULL, "show what sandboxes use", cli_stats},
        {"stop", NULL, "end sandboxes, politely first", cli_stop},
        {"top", NULL, "list its processes", cli_top},
        {"unpause", NULL, "let frozen sandboxes go on", cli_unpause},
        {"update", NULL, "change its limits", cli_update},
        {"wait", NULL, "wait until sandboxes have ended", cli_wait},
};

int cli_container(struct cli *cli, int argc, char **argv, struct error *err)
{
    static const struct cli_group group = {
            "viv container", "Works on sandboxes.", commands, ARRAY_SIZE(commands), {NULL}};

    return cli_run_group(cli, &group, argc, argv, err);
}
