/* volume: create, ls, inspect, rm, prune, exists. */
#include "base/cleanup.h"
#include "cli/command.h"
#include "cli/inspect.h"
#include "engine/volumes.h"
#include "observe/format.h"

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

static void read_pairs(struct arena *arena, const struct strv *list, struct record_map *map)
{
    const char *text;

    strv_foreach (text, list) {
        const char *equals = strchr(text, '=');
        struct record_pair *pair = RECORD_APPEND(arena, map);
        pair->key = equals ? arena_strndup(arena, text, (size_t)(equals - text)) : text;
        pair->value = equals ? equals + 1 : "";
    }
}

static int create(struct cli *cli, int argc, char **argv, struct error *err)
{
    _cleanup_engine_ struct engine engine = {0};
    struct create_flags flags = {0};
    struct volume volume = {0};
    struct strv rest = {0};
    int r = cli_parse(cli, &create_command, argc, argv, &flags, &rest, err);

    if (r != 0)
        return r < 0 ? r : 0;
    volume.name = rest.count ? rest.words[0] : volume_new_name(cli->arena);
    volume.anonymous = rest.count == 0;
    read_pairs(cli->arena, &flags.label, &volume.labels);
    read_pairs(cli->arena, &flags.opt, &volume.options);
    r = engine_open(cli->arena, cli->root, &engine, err);
    if (r == 0)
        r = volume_create(&engine, &volume, err);
    if (r == -EEXIST && flags.ignore)
        r = 0;
    if (r == 0)
        printf("%s\n", volume.name);
    return r;
}

/* ---- ls, inspect ----------------------------------------------------------------------------- */

struct ls_flags {
    struct strv filter;
    const char *format;
    bool quiet;
};

static const struct option_row ls_rows[] = {
        OPTION('q', "quiet", OPTION_FLAG, struct ls_flags, quiet, NULL, "names only"),
        OPTION('f', "filter", OPTION_LIST, struct ls_flags, filter, "KEY=VALUE",
                "only those with this name=, label=, driver= or dangling=true"),
        OPTION(0, "format", OPTION_TEXT, struct ls_flags, format, "FORMAT",
                "json, \"table TEMPLATE\", or a template for each line"),
};
static const struct option_table ls_table = OPTION_TABLE("ls", ls_rows);
static const struct option_command ls_command = {
        .name = "viv volume ls", .about = "Lists volumes.", .tables = {&ls_table}};

static struct json_object *map_json(const struct record_map *map)
{
    struct json_object *json = json_object_new_object();

    for (size_t i = 0; i < map->count; i++)
        json_add_str(json, map->items[i].key, map->items[i].value);
    return json;
}

static struct json_object *volume_json(const struct volume *volume)
{
    struct json_object *json = json_object_new_object();

    json_add_str(json, "Name", volume->name);
    json_add_str(json, "Driver", volume->driver);
    json_add_str(json, "Mountpoint", volume->path);
    json_add_str(json, "CreatedAt", volume->created);
    json_object_object_add(json, "Labels", map_json(&volume->labels));
    json_object_object_add(json, "Options", map_json(&volume->options));
    json_add_str(json, "Scope", "local");
    json_object_object_add(json, "Anonymous", json_object_new_boolean(volume->anonymous));
    return json;
}

static bool has_label(const struct volume *volume, const char *wanted)
{
    size_t length = strcspn(wanted, "=");

    for (size_t i = 0; i < volume->labels.count; i++) {
        const struct record_pair *label = &volume->labels.items[i];
        if (strlen(label->key) == length && strncmp(label->key, wanted, length) == 0 &&
                (!wanted[length] || str_equal(label->value, wanted + length + 1)))
            return true;
    }
    return false;
}

static int passes(struct engine *engine, const struct volume *volume, const char *filter, bool *ret,
        struct error *err)
{
    const char *value;
    struct strv users = {0};
    int r = 0;

    if ((value = str_after(filter, "name="))) {
        *ret = strstr(volume->name, value) != NULL;
    } else if ((value = str_after(filter, "label="))) {
        *ret = has_label(volume, value);
    } else if ((value = str_after(filter, "driver="))) {
        *ret = str_equal(volume->driver, value);
    } else if ((value = str_after(filter, "dangling="))) {
        r = volume_users(engine, volume->name, &users, err);
        *ret = (users.count == 0) == (str_equal(value, "true") || str_equal(value, "1"));
    } else {
        return error_set(err, EINVAL,
                "--filter %.100s: write name=TEXT, label=KEY[=VALUE], driver=local or "
                "dangling=true",
                filter);
    }
    return r;
}

/* Those that pass all filters. */
static int choose(struct engine *engine, const struct strv *filters, struct json_object *rows,
        struct error *err)
{
    struct strv names = {0};
    const char *name;
    const char *filter;
    int r = volume_list(engine, &names, err);

    strv_foreach (name, &names) {
        struct volume volume;
        bool wanted = true;
        if (r < 0)
            break;
        if (volume_find(engine, name, &volume, NULL) < 0)
            continue; /* gone meanwhile */
        strv_foreach (filter, filters) {
            bool fits = true;
            if (r == 0)
                r = passes(engine, &volume, filter, &fits, err);
            wanted &= fits;
        }
        if (wanted)
            json_object_array_add(rows, volume_json(&volume));
    }
    return r;
}

static int ls(struct cli *cli, int argc, char **argv, struct error *err)
{
    static const char *const names[] = {"Name", "VOLUME NAME", NULL};
    static const struct format_list list = {"{{.Driver}}\t{{.Name}}", names};
    _cleanup_engine_ struct engine engine = {0};
    _cleanup_json_ struct json_object *rows = json_object_new_array();
    struct ls_flags flags = {0};
    struct strv rest = {0};
    int r = cli_parse(cli, &ls_command, argc, argv, &flags, &rest, err);

    if (r != 0)
        return r < 0 ? r : 0;
    r = engine_open(cli->arena, cli->root, &engine, err);
    if (r == 0)
        r = choose(&engine, &flags.filter, rows, err);
    if (r < 0)
        return r;
    return format_print(
            cli->arena, flags.quiet ? "{{.Name}}" : flags.format, &list, rows, stdout, err);
}

static int inspect_one(
        struct engine *engine, const char *name, struct json_object **ret, struct error *err)
{
    struct volume volume;
    int r = volume_find(engine, name, &volume, err);

    if (r == 0)
        *ret = volume_json(&volume);
    return r;
}

static int inspect(struct cli *cli, int argc, char **argv, struct error *err)
{
    static const struct inspect_kind kind = {
            "viv volume inspect", "NAME…", "Shows everything about volumes.", inspect_one};

    return inspect_run(cli, &kind, argc, argv, err);
}

/* ---- rm, prune, exists ----------------------------------------------------------------------- */

struct rm_flags {
    bool force;
};

static const struct option_row rm_rows[] = {
        OPTION('f', "force", OPTION_FLAG, struct rm_flags, force, NULL,
                "with the sandboxes that use it and do not run"),
};
static const struct option_table rm_table = OPTION_TABLE("rm", rm_rows);
static const struct option_command rm_command = {.name = "viv volume rm",
        .usage = "NAME…",
        .about = "Takes volumes away, with all that is in them.",
        .least = 1,
        .most = SIZE_MAX,
        .tables = {&rm_table}};

static int each_rm(struct engine *engine, const char *name, void *data, struct error *err)
{
    const struct rm_flags *flags = data;

    return volume_remove_with_users(engine, name, flags->force, err);
}

static int rm(struct cli *cli, int argc, char **argv, struct error *err)
{
    struct rm_flags flags = {0};
    struct strv names = {0};
    int r = cli_parse(cli, &rm_command, argc, argv, &flags, &names, err);

    if (r != 0)
        return r < 0 ? r : 0;
    return cli_each(cli, &names, each_rm, &flags, err);
}

struct prune_flags {
    bool force, all;
    struct strv filter;
};

static const struct option_row prune_rows[] = {
        OPTION('f', "force", OPTION_FLAG, struct prune_flags, force, NULL,
                "nobody is asked anyway"),
        OPTION('a', "all", OPTION_FLAG, struct prune_flags, all, NULL,
                "those with a name too, not only those that were made without one"),
        OPTION(0, "filter", OPTION_LIST, struct prune_flags, filter, "KEY=VALUE",
                "only those that pass, as with ls"),
};
static const struct option_table prune_table = OPTION_TABLE("prune", prune_rows);
static const struct option_command prune_command = {.name = "viv volume prune",
        .about = "Takes away the volumes that no sandbox uses.",
        .tables = {&prune_table}};

static int prune(struct cli *cli, int argc, char **argv, struct error *err)
{
    _cleanup_engine_ struct engine engine = {0};
    _cleanup_json_ struct json_object *rows = json_object_new_array();
    struct prune_flags flags = {0};
    struct strv rest = {0};
    int r = cli_parse(cli, &prune_command, argc, argv, &flags, &rest, err);

    if (r != 0)
        return r < 0 ? r : 0;
    r = engine_open(cli->arena, cli->root, &engine, err);
    if (r == 0)
        r = choose(&engine, &flags.filter, rows, err);
    for (size_t i = 0; r == 0 && i < json_object_array_length(rows); i++) {
        struct json_object *row = json_object_array_get_idx(rows, i);
        const char *name = json_get_str(row, "Name");
        if (!flags.all && !json_get_bool(row, "Anonymous", false))
            continue;
        r = volume_remove_with_users(&engine, name, false, err);
        if (r == 0)
            printf("%s\n", name);
        else if (r == -EBUSY)
            r = 0;
    }
    return r;
}

static const struct option_command exists_command = {.name = "viv volume exists",
        .usage = "NAME",
        .about = "Tells by its status whether there is such a volume: 0, or 1.",
        .least = 1,
        .most = 1};

static int exists(struct cli *cli, int argc, char **argv, struct error *err)
{
    _cleanup_engine_ struct engine engine = {0};
    struct volume volume;
    struct strv rest = {0};
    int nothing = 0;
    int r = cli_parse(cli, &exists_command, argc, argv, &nothing, &rest, err);

    if (r != 0)
        return r < 0 ? r : 0;
    r = engine_open(cli->arena, cli->root, &engine, err);
    return r < 0 ? r : volume_find(&engine, rest.words[0], &volume, NULL) < 0;
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
static const struct option_command volume_command = {.name = "viv volume",
        .usage = "create|ls|inspect|rm|prune|exists …",
        .about = "Directories that outlive sandboxes.",
        .order = OPTIONS_FIRST,
        .most = SIZE_MAX,
        .tables = {&create_table, &ls_table, &inspect_options, &rm_table, &prune_table}};

int cli_volume(struct cli *cli, int argc, char **argv, struct error *err)
{
    const char *name = argc > 1 ? argv[1] : "";

    if (str_equal(name, "list"))
        name = "ls";
    for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
        if (str_equal(commands[i].name, name))
            return commands[i].run(cli, argc - 1, argv + 1, err);
    if (str_equal(name, "--help") || str_equal(name, "-h")) {
        char *help[] = {argv[0], argv[1], NULL};
        struct strv rest = {0};
        int nothing = 0; /* --help alone writes nowhere */
        int r = cli_parse(cli, &volume_command, 2, help, &nothing, &rest, err);
        return r < 0 ? r : 0;
    }
    return error_set(err, EINVAL, "viv volume %s: write %s", name, volume_command.usage);
}
