#include "cli/select.h"

#include "observe/filter.h"

static bool fits(const struct sandbox *sandbox, enum select_state state)
{
    bool alive = sandbox->status == SPEC_RUNNING || sandbox->status == SPEC_PAUSED ||
                 sandbox->life.restarting;

    return state == SELECT_ANY || alive == (state == SELECT_ALIVE);
}

int select_names(struct cli *cli, const struct select_flags *flags, enum select_state state,
        struct strv *names, struct error *err)
{
    _cleanup_engine_ struct engine engine = {0};
    struct filter *filter;
    struct strv all = {0};
    const char *name;
    bool several = flags->all || flags->filter.count;

    if (!several && !names->count)
        return error_set(err, EINVAL, "name a sandbox, or say --all");
    if (!several)
        return 0;
    if (names->count)
        return error_set(err, EINVAL, "--all and --filter choose the sandboxes: name none");
    int r = engine_open(cli->arena, cli->root, &engine, err);
    if (r == 0)
        r = filter_new(&engine, &flags->filter, &filter, err);
    if (r == 0)
        r = engine_list(&engine, &all, err);
    if (r < 0)
        return r;
    strv_foreach (name, &all) {
        _cleanup_sandbox_ struct sandbox sandbox = {.record_fd = -1};
        if (engine_find(&engine, name, &sandbox, NULL) == 0 && fits(&sandbox, state) &&
                filter_passes(filter, &sandbox))
            strv_add(cli->arena, names, sandbox.meta.name);
    }
    return 0;
}
