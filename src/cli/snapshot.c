/* snapshot and restore: a named machine is written to a file, and goes on from it. */
#include "cli/command.h"
#include "engine/boot.h"
#include "engine/named.h"

struct snapshot_flags {
    bool stop;
};

static const struct option_row snapshot_rows[] = {
        OPTION(0, "stop", OPTION_FLAG, struct snapshot_flags, stop, NULL,
                "end the machine once it is written"),
};
static const struct option_table snapshot_table = OPTION_TABLE("Options", snapshot_rows);
static const struct option_command snapshot_command = {.name = "viv snapshot",
        .usage = "NAME [FILE]",
        .about = "Writes a running machine to a file, from which viv restore goes on. The machine "
                 "stands still meanwhile.",
        .tables = {&snapshot_table},
        .least = 1,
        .most = 2};

struct restore_flags {
    const char *accel;
};

static const struct option_row restore_rows[] = {
        OPTION(0, "accel", OPTION_CHOICE, struct restore_flags, accel, "auto|kvm|emu",
                "what runs the CPUs (auto)"),
};
static const struct option_table restore_table = OPTION_TABLE("Options", restore_rows);
static const struct option_command restore_command = {.name = "viv restore",
        .usage = "NAME|FILE",
        .about = "Goes on with a machine from its snapshot, with its console on the terminal; "
                 "ctrl-a x ends it.",
        .tables = {&restore_table},
        .least = 1,
        .most = 1};

static const char *data_root_of(struct cli *cli)
{
    return cli->root && cli->root->data ? cli->root->data : engine_data_root(cli->arena);
}

int cli_snapshot(struct cli *cli, int argc, char **argv, struct error *err)
{
    struct snapshot_flags flags = {0};
    struct strv rest = {0};
    int r = cli_parse(cli, &snapshot_command, argc, argv, &flags, &rest, err);

    if (r != 0)
        return r < 0 ? r : 0;
    return named_snapshot(cli->arena, data_root_of(cli), rest.words[0],
            rest.count > 1 ? rest.words[1] : NULL, flags.stop, err);
}

int cli_restore(struct cli *cli, int argc, char **argv, struct error *err)
{
    struct restore_flags flags = {0};
    struct proto_machine machine = {0};
    _cleanup_engine_ struct engine engine = {0};
    struct strv rest = {0};
    const char *name = NULL;
    int status = 0;
    int r = cli_parse(cli, &restore_command, argc, argv, &flags, &rest, err);

    if (r != 0)
        return r < 0 ? r : 0;
    r = named_load(cli->arena, data_root_of(cli), rest.words[0], &machine, &name, err);
    if (r < 0)
        return r;
    machine.accel = flags.accel;
    r = engine_open(cli->arena, cli->root, &engine, err);
    if (r == 0)
        r = engine_boot_named(&engine, name, &machine, cli_tell, &status, err);
    return r < 0 ? r : status;
}
