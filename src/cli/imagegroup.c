/* image and system: commands that have commands of their own. */
#include <stdlib.h>

#include "base/cleanup.h"
#include "cli/command.h"
#include "cli/imagecommands.h"
#include "cli/named.h"
#include "cli/registry.h"
#include "observe/diskuse.h"
#include "observe/filter.h"

static const struct cli_command image_commands[] = {
        {"exists", "Images", "tell by the exit status whether it is there", cli_image_exists},
        {"history", "Images", "show the steps that made it", cli_history},
        {"import", "Images", "make one from a tarball", cli_import},
        {"inspect", "Images", "show everything about images", cli_image_inspect},
        {"load", "Images", "read images from an archive", cli_load},
        {"ls", "Images", "list images", cli_images},
        {"prune", "Images", "remove those without a name", cli_image_prune},
        {"pull", "Images", "fetch images", cli_pull},
        {"push", "Images", "send an image to a registry", cli_push},
        {"rm", "Images", "take images away", cli_rmi},
        {"save", "Images", "write images into an archive", cli_save},
        {"tag", "Images", "give an image more names", cli_tag},
};

int cli_image(struct cli *cli, int argc, char **argv, struct error *err)
{
    static const struct cli_group group = {"viv image", "Works on images.", image_commands,
            ARRAY_SIZE(image_commands), {&image_prune_options}};

    return cli_run_group(cli, &group, argc, argv, err);
}

/* ---- system df ------------------------------------------------------------------------------- */

struct system_flags {
    const char *format;
    bool all, force, repair, verbose, volumes;
    struct strv filters;
};

static const struct option_row df_rows[] = {
        OPTION('v', "verbose", OPTION_FLAG, struct system_flags, verbose, NULL,
                "each image, sandbox and volume"),
        OPTION(0, "format", OPTION_TEXT, struct system_flags, format, "FORMAT",
                "json, \"table TEMPLATE\", or a template for each line"),
};
static const struct option_table df_table = OPTION_TABLE("Options", df_rows);
static const struct option_table df_group_table = OPTION_TABLE("df", df_rows);
static const struct option_command df_command = {.name = "viv system df",
        .about = "Tells what images and sandboxes take of the disk, and what of it could be given "
                 "back.",
        .tables = {&df_table}};

static int system_df(struct cli *cli, int argc, char **argv, struct error *err)
{
    _cleanup_engine_ struct engine engine = {0};
    struct system_flags flags = {0};
    struct image_store *store;
    struct strv rest = {0};
    int r = cli_parse(cli, &df_command, argc, argv, &flags, &rest, err);

    if (r != 0)
        return r < 0 ? r : 0;
    if (flags.verbose && flags.format)
        return error_set(err, EINVAL, "--verbose prints three tables: leave --format out");
    r = registry_open(cli, NULL, &engine, &store, err);
    if (r < 0)
        return r;
    return flags.verbose ? diskuse_print_each(&engine, store, stdout, err)
                         : diskuse_print(&engine, store, flags.format, stdout, err);
}

/* ---- system prune ---------------------------------------------------------------------------- */

static const struct option_row prune_rows[] = {
        OPTION('a', "all", OPTION_FLAG, struct system_flags, all, NULL,
                "every image that no sandbox uses, not only those without a name"),
        OPTION('f', "force", OPTION_FLAG, struct system_flags, force, NULL, "do not ask"),
        OPTION(0, "volumes", OPTION_FLAG, struct system_flags, volumes, NULL,
                "and volumes without a name that no sandbox uses"),
        OPTION(0, "filter", OPTION_LIST, struct system_flags, filters, "KEY=VALUE",
                "only what passes: label=, label!= or until="),
};
static const struct option_table prune_table = OPTION_TABLE("Options", prune_rows);
static const struct option_table prune_group_table = OPTION_TABLE("prune", prune_rows);
static const struct option_command prune_command = {.name = "viv system prune",
        .about = "Removes sandboxes that do not run, networks that nobody is on, images without a "
                 "name, interrupted downloads, and what nobody refers to.",
        .tables = {&prune_table}};

/* Those that every kind of thing has. */
static int check_filters(const struct strv *filters, struct error *err)
{
    const char *filter;

    strv_foreach (filter, filters) {
        if (!str_starts(filter, "label=") && !str_starts(filter, "label!=") &&
                !str_starts(filter, "until="))
            return error_set(err, EINVAL,
                    "--filter %.100s: write label=KEY[=VALUE], label!=KEY[=VALUE] or until=TIME",
                    filter);
    }
    return 0;
}

static int remove_ended(struct engine *engine, const struct strv *filters, struct error *err)
{
    struct strv names = {0};
    struct filter *filter;
    const char *name;
    int r = filter_new(engine, filters, &filter, err);

    if (r == 0)
        r = engine_list(engine, &names, err);
    strv_foreach (name, &names) {
        _cleanup_sandbox_ struct sandbox sandbox = {.record_fd = -1};
        struct error own = ERROR_NONE;
        if (engine_find(engine, name, &sandbox, NULL) < 0 || !filter_passes(filter, &sandbox))
            continue;
        if (engine_remove(engine, name, &(struct engine_removal){0}, &own) == 0)
            printf("Deleted: %s\n", name);
        else if (own.errnum != EBUSY)
            cli_tell("%s", own.text);
    }
    return r;
}

static int system_prune(struct cli *cli, int argc, char **argv, struct error *err)
{
    _cleanup_engine_ struct engine engine = {0};
    struct system_flags flags = {0};
    struct image_store *store;
    struct strv rest = {0};
    int r = cli_parse(cli, &prune_command, argc, argv, &flags, &rest, err);

    if (r != 0)
        return r < 0 ? r : 0;
    r = check_filters(&flags.filters, err);
    if (r < 0)
        return r;
    if (!cli_sure(flags.force, "Remove sandboxes that do not run, networks that nobody is on, and "
                               "images that are not needed?"))
        return 0;
    r = registry_open(cli, NULL, &engine, &store, err);
    if (r == 0)
        r = remove_ended(&engine, &flags.filters, err);
    if (r == 0)
        r = named_prune_all(&engine, &network_commands, &flags.filters, err);
    if (r == 0 && flags.volumes)
        r = named_prune_all(&engine, &volume_commands, &flags.filters, err);
    return r < 0 ? r : cli_prune_images(cli, store, flags.all, &flags.filters, err);
}

/* ---- system check ---------------------------------------------------------------------------- */

static const struct option_row check_rows[] = {
        OPTION('r', "repair", OPTION_FLAG, struct system_flags, repair, NULL,
                "unpack again what differs, and take out what only a pull can bring"),
};
static const struct option_table check_table = OPTION_TABLE("Options", check_rows);
static const struct option_table check_group_table = OPTION_TABLE("check", check_rows);
static const struct option_command check_command = {.name = "viv system check",
        .about = "Reads every blob and every unpacked layer against its digest. Ends with 0 when "
                 "all is sound, or was made so; with 1 when something was found.",
        .tables = {&check_table}};

static int system_check(struct cli *cli, int argc, char **argv, struct error *err)
{
    _cleanup_engine_ struct engine engine = {0};
    struct system_flags flags = {0};
    struct image_store *store;
    struct strv rest = {0};
    struct strv findings = {0};
    const char *finding;
    int r = cli_parse(cli, &check_command, argc, argv, &flags, &rest, err);

    if (r != 0)
        return r < 0 ? r : 0;
    r = registry_open(cli, NULL, &engine, &store, err);
    if (r == 0)
        r = image_check(store, flags.repair, cli->arena, &findings, err);
    if (r < 0)
        return r;
    strv_foreach (finding, &findings) {
        printf("%s\n", finding);
    }
    return findings.count && !flags.repair;
}

static const struct cli_command system_commands[] = {
        {"events", "System", "show what happens to sandboxes", cli_events},
        {"check", "System", "verify what is in the store, and repair it", system_check},
        {"df", "System", "tell what the store takes of the disk", system_df},
        {"prune", "System", "remove what is not needed", system_prune},
};

int cli_system(struct cli *cli, int argc, char **argv, struct error *err)
{
    static const struct cli_group group = {"viv system", "Looks after the store.", system_commands,
            ARRAY_SIZE(system_commands), {&df_group_table, &prune_group_table, &check_group_table}};

    return cli_run_group(cli, &group, argc, argv, err);
}
