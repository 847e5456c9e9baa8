/* volume: create, ls, inspect, rm, prune, exists. */
#include "base/cleanup.h"
#include "cli/command.h"
#include "cli/inspect.h"
#include "cli/named.h"
#include "engine/names.h"
#include "engine/volumes.h"
#include "observe/volumes.h"

/* ---- create ---------------------------------------------------------------------------------- */

struct create_flags {
    struct strv label, opt;
    const char *driver;
    bool ignore;
};

static const struct option_row create_rows[] = {
        OPTION('d', "driver", OPTION_CHOICE, struct create_flags, driver, "local",
                "the kind of volume"),
        OPTION('l', "label", OPTION_LIST, struct create_flags, label, "KEY[=VALUE]", "describe it"),
        OPTION('o', "opt", OPTION_LIST, struct create_flags, opt, "KEY=VALUE",
                "type, device and o: what is mounted instead of a directory"),
        OPTION(0, "ignore", OPTION_FLAG, struct create_flags, ignore, NULL,
                "it is no error if it is there already"),
};
static const struct option_table create_table = OPTION_TABLE("create", create_rows);
static const struct option_command create_command = {.name = "viv volume create",
        .usage = "[NAME]",
        .about = "Makes a volume and prints its name.",
        .most = 1,
        .tables = {&create_table}};

static int create(struct cli *cli, int argc, char **argv, struct error *err)
{
    _cleanup_engine_ struct engine engine = {0};
    struct create_flags flags = {0};
    struct volume volume = {0};
    struct strv rest = {0};
    int r = cli_parse(cli, &create_command, argc, argv, &flags, &rest, err);

    if (r != 0)
        return r < 0 ? r : 0;
    volume.name = rest.count ? rest.words[0] : name_new_id(cli->arena);
    volume.anonymous = rest.count == 0;
    named_read_pairs(cli->arena, &flags.label, &volume.labels);
    named_read_pairs(cli->arena, &flags.opt, &volume.options);
    r = engine_open(cli->arena, cli->root, &engine, err);
    if (r == 0)
        r = volume_create(&engine, &volume, err);
    if (r == -EEXIST && flags.ignore)
        r = 0;
    if (r == 0)
        printf("%s\n", volume.name);
    return r;
}

/* ---- ls, inspect, rm, prune ------------------------------------------------------------------ */

static const struct option_row ls_rows[] = {
        NAMED_LS_ROWS("name=, label=, driver=, until= or dangling="),
};
static const struct option_table ls_table = OPTION_TABLE("ls", ls_rows);
static const struct option_row rm_rows[] = {
        OPTION('f', "force", OPTION_FLAG, struct named_flags, force, NULL,
                "with the sandboxes that use it and do not run"),
        OPTION('a', "all", OPTION_FLAG, struct named_flags, all, NULL, "all volumes"),
};
static const struct option_table rm_table = OPTION_TABLE("rm", rm_rows);
static const struct option_row prune_rows[] = {
        OPTION('f', "force", OPTION_FLAG, struct named_flags, force, NULL, "do not ask"),
        OPTION('a', "all", OPTION_FLAG, struct named_flags, all, NULL,
                "those with a name too, not only those that were made without one"),
        OPTION(0, "filter", OPTION_LIST, struct named_flags, filters, "KEY=VALUE",
                "only those that pass, as with ls"),
};
static const struct option_table prune_table = OPTION_TABLE("prune", prune_rows);

static bool spares(struct json_object *row, bool all)
{
    return !all && !json_get_bool(row, "Anonymous", false);
}

const struct named_commands volume_commands = {.name = "volume",
        .rm_usage = "VOLUME…",
        .kind = &volumes_kind,
        .ls_about = "Lists volumes.",
        .rm_about = "Takes volumes away, with all that is in them.",
        .prune_about = "Takes away the volumes that no sandbox uses.",
        .ls_table = &ls_table,
        .rm_table = &rm_table,
        .prune_table = &prune_table,
        .question = "Take away the volumes that no sandbox uses, with all that is in them?",
        .remove = volume_remove_with_users,
        .spares = spares};

static int ls(struct cli *cli, int argc, char **argv, struct error *err)
{
    return named_ls(cli, &volume_commands, argc, argv, err);
}

static int rm(struct cli *cli, int argc, char **argv, struct error *err)
{
    return named_rm(cli, &volume_commands, argc, argv, err);
}

static int prune(struct cli *cli, int argc, char **argv, struct error *err)
{
    return named_prune(cli, &volume_commands, argc, argv, err);
}

static int inspect(struct cli *cli, int argc, char **argv, struct error *err)
{
    static const struct inspect_kind kind = {
            "viv volume inspect", "VOLUME…", "Shows everything about volumes.", volumes_inspect};

    return inspect_run(cli, &kind, argc, argv, err);
}

/* ---- exists ---------------------------------------------------------------------------------- */

static const struct option_command exists_command = {.name = "viv volume exists",
        .usage = "VOLUME",
        .about = "Tells by its status whether there is such a volume: 0, or 1.",
        .least = 1,
        .most = 1};

static int exists(struct cli *cli, int argc, char **argv, struct error *err)
{
    _cleanup_engine_ struct engine engine = {0};
    struct volume volume;
    struct strv rest = {0};
    int r = cli_open(cli, &exists_command, argc, argv, NULL, &rest, &engine, err);

    if (r != 0)
        return r < 0 ? r : 0;
    return volume_find(&engine, rest.words[0], &volume, NULL) < 0;
}

/* ---- which of them --------------------------------------------------------------------------- */

static const struct cli_command commands[] = {
        {"create", NULL, "make a volume", create},
        {"ls", NULL, "list volumes", ls},
        {"inspect", NULL, "show everything about volumes", inspect},
        {"rm", NULL, "take volumes away", rm},
        {"prune", NULL, "take away those that nobody uses", prune},
        {"exists", NULL, "whether there is one", exists},
};

int cli_volume(struct cli *cli, int argc, char **argv, struct error *err)
{
    static const struct cli_group group = {"viv volume", "Directories that outlive sandboxes.",
            commands, ARRAY_SIZE(commands),
            {&create_table, &ls_table, &inspect_options, &rm_table, &prune_table}};

    return cli_run_group(cli, &group, argc, argv, err);
}
