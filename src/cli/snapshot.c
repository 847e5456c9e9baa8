/* snapshot and restore: a machine is written to a file, and goes on from it: a sandbox, or a named
 * machine of the user's own. */
#include "engine/snapshot.h"
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
        .usage = "SANDBOX|NAME [FILE]",
        .about =
                "Writes a running machine, a sandbox of viv run --isolation vm or one of viv boot, "
                "to a file, from which viv restore goes on. It stands still meanwhile.",
        .tables = {&snapshot_table},
        .least = 1,
        .most = 2};

struct restore_flags {
    const char *accel;
};

static const struct option_row restore_rows[] = {
        OPTION(0, "accel", OPTION_CHOICE, struct restore_flags, accel, "auto|kvm|emu",
                "what runs the CPUs (a sandbox: as it was run; else auto)"),
};
static const struct option_table restore_table = OPTION_TABLE("Options", restore_rows);
static const struct option_command restore_command = {.name = "viv restore",
        .usage = "SANDBOX|NAME|FILE",
        .about =
                "Goes on with a machine from its snapshot: a sandbox in the background, as viv "
                "start "
                "has it; one of viv boot with its console on the terminal, where ctrl-a x ends it.",
        .tables = {&restore_table},
        .least = 1,
        .most = 1};

/* Whether a word means a sandbox: one of that very name, or there is no machine of the user's own.
 */
static bool is_sandbox(struct engine *engine, const char *word)
{
    _cleanup_sandbox_ struct sandbox sandbox = {.record_fd = -1};

    if (strchr(word, '/') || engine_find(engine, word, &sandbox, NULL) < 0)
        return false;
    return str_equal(sandbox.meta.name, word) ||
           !named_is_there(engine->arena, engine->data_root, word);
}

int cli_snapshot(struct cli *cli, int argc, char **argv, struct error *err)
{
    struct snapshot_flags flags = {0};
    _cleanup_engine_ struct engine engine = {0};
    struct strv rest = {0};
    int r = cli_parse(cli, &snapshot_command, argc, argv, &flags, &rest, err);

    if (r != 0)
        return r < 0 ? r : 0;
    r = engine_open(cli->arena, cli->root, &engine, err);
    if (r < 0)
        return r;
    const char *name = rest.words[0], *file = rest.count > 1 ? rest.words[1] : NULL;
    if (!is_sandbox(&engine, name))
        return named_snapshot(cli->arena, engine.data_root, name, file, flags.stop, err);
    if (file)
        return error_set(err, EINVAL,
                "%s: a sandbox's snapshot is kept with the sandbox; a file is for machines of viv "
                "boot",
                file);
    return engine_snapshot(&engine, name, flags.stop, err);
}

static int restore_sandbox(
        struct engine *engine, const char *name, const char *accel, struct error *err)
{
    struct strv told = {0};
    const char *line;
    int r = engine_restore(engine, &(struct engine_restore){name, accel, &told}, err);

    strv_foreach (line, &told) {
        cli_tell("%s", line);
    }
    if (r == 0)
        printf("%s\n", name);
    return r;
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
    r = engine_open(cli->arena, cli->root, &engine, err);
    if (r < 0)
        return r;
    if (is_sandbox(&engine, rest.words[0]))
        return restore_sandbox(&engine, rest.words[0], flags.accel, err);
    r = named_load(cli->arena, engine.data_root, rest.words[0], &machine, &name, err);
    if (r < 0)
        return r;
    machine.accel = flags.accel;
    r = engine_boot_named(&engine, name, &machine, cli_tell, &status, err);
    return r < 0 ? r : status;
}
