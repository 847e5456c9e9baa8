#include "cli/inspect.h"

#include "cli/select.h"
#include "observe/format.h"
#include "observe/style.h"

struct inspect_flags {
    const char *format;
    bool latest;
    struct inspect_choice choice;
};

static const struct option_row inspect_rows[] = {
        OPTION('f', "format", OPTION_TEXT, struct inspect_flags, format, "FORMAT",
                "json, or a template"),
};
const struct option_table inspect_options = OPTION_TABLE("inspect", inspect_rows);
static const struct option_table inspect_table = OPTION_TABLE("Options", inspect_rows);
static const struct option_row choice_rows[] = {
        OPTION(0, "type", OPTION_CHOICE, struct inspect_flags, choice.type,
                "container|image|network|volume", "only what is of this kind"),
        OPTION('s', "size", OPTION_FLAG, struct inspect_flags, choice.size, NULL,
                "what a sandbox takes of the disk too"),
        SELECT_LATEST_ROW(struct inspect_flags, latest),
};
static const struct option_table choice_table = OPTION_TABLE("Choice", choice_rows);

int inspect_run(
        struct cli *cli, const struct inspect_kind *kind, int argc, char **argv, struct error *err)
{
    _cleanup_engine_ struct engine engine = {0};
    _cleanup_json_ struct json_object *array = json_object_new_array();
    const struct option_command command = {.name = kind->command,
            .usage = kind->usage,
            .about = kind->about,
            .least = kind->inspect_by ? 0 : 1,
            .most = SIZE_MAX,
            .tables = {&inspect_table, kind->inspect_by ? &choice_table : NULL}};
    struct inspect_flags flags = {0};
    struct strv names = {0};
    const char *name;
    int r = cli_open(cli, &command, argc, argv, &flags, &names, &engine, err);

    if (r != 0)
        return r < 0 ? r : 0;
    r = select_latest(cli, flags.latest, 1, &names, err);
    strv_foreach (name, &names) {
        struct json_object *object;
        if (r == 0)
            r = kind->inspect_by ? kind->inspect_by(&engine, name, &flags.choice, &object, err)
                                 : kind->inspect(&engine, name, &object, err);
        if (r < 0)
            return r;
        json_object_array_add(array, object);
    }
    if (r < 0)
        return r;
    if (flags.format && !str_equal(flags.format, "json"))
        return format_each(cli->arena, flags.format, array, stdout, err);
    style_print_line(stdout, json_text_pretty(array));
    return 0;
}
