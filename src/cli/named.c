#include "cli/named.h"

#include "base/cleanup.h"
#include "cli/imagecommands.h"

void named_read_pairs(struct arena *arena, const struct strv *list, struct record_map *map)
{
    const char *text;

    strv_foreach (text, list) {
        const char *equals = strchr(text, '=');
        struct record_pair *pair = RECORD_APPEND(arena, map);
        pair->key = equals ? arena_strndup(arena, text, (size_t)(equals - text)) : text;
        pair->value = equals ? equals + 1 : "";
    }
}

static const char *command_name(
        struct cli *cli, const struct named_commands *commands, const char *verb)
{
    return arena_printf(cli->arena, "viv %s %s", commands->name, verb);
}

int named_ls(struct cli *cli, const struct named_commands *commands, int argc, char **argv,
        struct error *err)
{
    const struct option_command command = {.name = command_name(cli, commands, "ls"),
            .about = commands->ls_about,
            .tables = {commands->ls_table}};
    _cleanup_engine_ struct engine engine = {0};
    struct named_choice choice = {0};
    struct strv rest = {0};
    int r = cli_open(cli, &command, argc, argv, &choice, &rest, &engine, err);

    if (r == 0)
        r = named_print(&engine, commands->kind, &choice, stdout, err);
    return r < 0 ? r : 0;
}

/* What cli_each() hands on. */
struct removing {
    const struct named_commands *commands;
    struct named_flags flags;
};

static int each_rm(struct engine *engine, const char *name, void *data, struct error *err)
{
    const struct removing *removing = data;
    int r = removing->commands->remove(engine, name, removing->flags.force, err);

    return r == -ENOENT && removing->flags.force ? CLI_UNSAID : r;
}

static int list_all(struct cli *cli, const struct named_commands *commands, struct strv *names,
        struct error *err)
{
    _cleanup_engine_ struct engine engine = {0};
    int r = engine_open(cli->arena, cli->root, &engine, err);

    return r < 0 ? r : commands->kind->names(&engine, names, err);
}

int named_rm(struct cli *cli, const struct named_commands *commands, int argc, char **argv,
        struct error *err)
{
    const struct option_command command = {.name = command_name(cli, commands, "rm"),
            .usage = commands->rm_usage,
            .about = commands->rm_about,
            .most = SIZE_MAX,
            .tables = {commands->rm_table}};
    struct removing removing = {commands, {0}};
    struct strv names = {0};
    int r = cli_parse(cli, &command, argc, argv, &removing.flags, &names, err);

    if (r != 0)
        return r < 0 ? r : 0;
    if ((names.count > 0) == removing.flags.all)
        return error_set(err, EINVAL,
                removing.flags.all ? "--all is every %s: name none" : "name a %s to take away",
                commands->name);
    if (removing.flags.all)
        r = list_all(cli, commands, &names, err);
    return r < 0 ? r : cli_each(cli, &names, each_rm, &removing, err);
}

static int prune_rows(struct engine *engine, const struct named_commands *commands,
        struct json_object *rows, bool all, struct error *err)
{
    for (size_t i = 0; i < json_object_array_length(rows); i++) {
        struct json_object *row = json_object_array_get_idx(rows, i);
        const char *name = json_get_str(row, "Name");
        if (commands->spares(row, all))
            continue;
        int r = commands->remove(engine, name, false, err);
        if (r == 0)
            printf("%s\n", name);
        else if (r != -EBUSY)
            return r;
    }
    return 0;
}

int named_prune_all(struct engine *engine, const struct named_commands *commands,
        const struct strv *filters, struct error *err)
{
    _cleanup_json_ struct json_object *rows = json_object_new_array();
    int r = named_choose(engine, commands->kind, filters, rows, err);

    return r < 0 ? r : prune_rows(engine, commands, rows, false, err);
}

int named_prune(struct cli *cli, const struct named_commands *commands, int argc, char **argv,
        struct error *err)
{
    const struct option_command command = {.name = command_name(cli, commands, "prune"),
            .about = commands->prune_about,
            .tables = {commands->prune_table}};
    _cleanup_engine_ struct engine engine = {0};
    _cleanup_json_ struct json_object *rows = json_object_new_array();
    struct named_flags flags = {0};
    struct strv rest = {0};
    int r = cli_parse(cli, &command, argc, argv, &flags, &rest, err);

    if (r != 0)
        return r < 0 ? r : 0;
    if (!cli_sure(flags.force, commands->question))
        return 0;
    r = engine_open(cli->arena, cli->root, &engine, err);
    if (r == 0)
        r = named_choose(&engine, commands->kind, &flags.filters, rows, err);
    return r < 0 ? r : prune_rows(&engine, commands, rows, flags.all, err);
}
