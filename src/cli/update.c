/* update: other limits for sandboxes. */
#include "container/update.h"
#include "cli/command.h"
#include "cli/devices.h"
#include "cli/runbuild.h"
#include "cli/runlife.h"
#include "cli/runresources.h"
#include "engine/vm_call.h"

struct updating {
    const struct spec_resources *resources;
    bool limits; /* some were named */
    const char *restart;
    int restart_max;
};

static const struct option_row rows[] = {
        OPTION(0, "restart", OPTION_TEXT, struct run_flags, restart, "POLICY",
                "Another restart policy: no, on-failure[:N], always, unless-stopped"),
};
static const struct option_table life_table = OPTION_TABLE("Life", rows);

static int set_policy(const struct updating *updating, struct sandbox *sandbox, struct error *err)
{
    if (!sandbox->kept)
        return error_set(err, EINVAL, "--restart: it was made with --rm, and goes when it ends");
    sandbox->meta.restart = updating->restart;
    sandbox->meta.restart_max = updating->restart_max;
    return sandbox_meta_save(sandbox->record_fd, &sandbox->meta, true, err);
}

/* At once where it runs, and for each start that is to come. */
static int set_limits(
        const struct updating *updating, const struct sandbox *sandbox, struct error *err)
{
    bool runs = sandbox->status == SPEC_RUNNING || sandbox->status == SPEC_PAUSED;
    int r = 0;

    if (runs || !sandbox->kept)
        r = workload_update(&sandbox->container, updating->resources, err);
    if (r == 0 && sandbox->kept)
        r = container_remember_resources(sandbox->record_fd, updating->resources, true, err);
    return r;
}

static int each_update(struct engine *engine, const char *name, void *data, struct error *err)
{
    const struct updating *updating = data;
    _cleanup_sandbox_ struct sandbox sandbox = {.record_fd = -1};
    int r = engine_find(engine, name, &sandbox, err);

    if (r < 0)
        return r;
    if (updating->limits)
        r = set_limits(updating, &sandbox, err);
    if (r == 0 && updating->restart)
        r = set_policy(updating, &sandbox, err);
    return r < 0 ? error_prefix(err, "sandbox \"%s\"", sandbox.meta.name) : 0;
}

int cli_update(struct cli *cli, int argc, char **argv, struct error *err)
{
    static const struct option_command command = {.name = "viv update",
            .usage = "SANDBOX…",
            .about = "Changes the limits of sandboxes, at once and for each start that is to come, "
                     "and "
                     "their restart policy. What is not named stays as it is.",
            .least = 1,
            .most = SIZE_MAX,
            .tables = {&run_resources_table, &life_table}};
    struct run_flags flags = {0};
    struct run_input input = {0};
    struct run_choices choices = {0};
    struct spec spec = {0};
    struct strv names = {0};
    int r = cli_parse(cli, &command, argc, argv, &flags, &names, err);

    if (r != 0)
        return r < 0 ? r : 0;
    struct run_build build = {cli->arena, &flags, &input, &spec, &choices};
    struct updating updating = {.resources = &spec.linux.resources};
    r = run_resources_apply(&build, err);
    if (r == 0)
        r = resolve_devices(cli->arena, &spec, &choices, err);
    if (r == 0 && flags.restart)
        r = run_restart_read(
                cli->arena, flags.restart, &updating.restart, &updating.restart_max, err);
    _cleanup_json_ struct json_object *said =
            record_write(&spec_resources_record, updating.resources);
    updating.limits = json_object_object_length(said) > 0;
    if (r == 0 && !updating.limits && !updating.restart)
        r = error_set(err, EINVAL, "update: name a limit, or --restart; see 'viv update --help'");
    return r < 0 ? r : cli_each(cli, &names, each_update, &updating, err);
}
