/* update: other limits for sandboxes that run. */
#include "cli/command.h"
#include "cli/devices.h"
#include "cli/runbuild.h"
#include "cli/runresources.h"
#include "engine/vm_call.h"

static int each_update(struct engine *engine, const char *name, void *data, struct error *err)
{
    const struct spec_resources *resources = data;
    _cleanup_sandbox_ struct sandbox sandbox = {.record_fd = -1};
    int r = engine_find(engine, name, &sandbox, err);

    if (r < 0)
        return r;
    r = sandbox_update(&sandbox, resources, err);
    return r < 0 ? error_prefix(err, "sandbox \"%s\"", sandbox.meta.name) : 0;
}

int cli_update(struct cli *cli, int argc, char **argv, struct error *err)
{
    static const struct option_command command = {.name = "viv update",
            .usage = "SANDBOX…",
            .about = "Changes the limits of sandboxes that run. What is not named stays as it is.",
            .least = 1,
            .most = SIZE_MAX,
            .tables = {&run_resources_table}};
    struct run_flags flags = {0};
    struct run_input input = {0};
    struct run_choices choices = {0};
    struct spec spec = {0};
    struct strv names = {0};
    int r = cli_parse(cli, &command, argc, argv, &flags, &names, err);

    if (r != 0)
        return r < 0 ? r : 0;
    struct run_build build = {cli->arena, &flags, &input, &spec, &choices};
    r = run_resources_apply(&build, err);
    if (r == 0)
        r = resolve_devices(cli->arena, &spec, &choices, err);
    return r < 0 ? r : cli_each(cli, &names, each_update, &spec.linux.resources, err);
}
