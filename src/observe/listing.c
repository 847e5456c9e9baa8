#include "observe/listing.h"

#include "observe/table.h"

/* ---- filters --------------------------------------------------------------------------------- */

static bool has_label(const struct sandbox *sandbox, const char *wanted)
{
    size_t name = strcspn(wanted, "=");

    for (size_t i = 0; i < sandbox->meta.labels.count; i++) {
        const struct record_pair *label = &sandbox->meta.labels.items[i];
        if (strlen(label->key) != name || strncmp(label->key, wanted, name) != 0)
            continue;
        return !wanted[name] || str_equal(label->value, wanted + name + 1);
    }
    return false;
}

static const char *status_word(const struct sandbox *sandbox)
{
    return sandbox->status == SPEC_STOPPED ? "exited" : spec_status_name(sandbox->status);
}

/* Docker's status=exited is the specification's "stopped"; both are understood. */
static bool passes(const struct sandbox *sandbox, const char *filter)
{
    const char *value;

    if ((value = str_after(filter, "name=")))
        return strstr(sandbox->meta.name, value) != NULL;
    if ((value = str_after(filter, "status=")))
        return str_equal(status_word(sandbox), value) ||
               str_equal(spec_status_name(sandbox->status), value);
    if ((value = str_after(filter, "label=")))
        return has_label(sandbox, value);
    return false;
}

static int check_filters(const struct strv *filters, struct error *err)
{
    const char *filter;

    strv_foreach (filter, filters) {
        if (!str_starts(filter, "name=") && !str_starts(filter, "status=") &&
                !str_starts(filter, "label="))
            return error_set(err, EINVAL,
                    "--filter %s: write name=TEXT, status=STATUS or label=KEY[=VALUE]", filter);
    }
    return 0;
}

static bool wanted(const struct sandbox *sandbox, const struct listing_choice *choice)
{
    const char *filter;

    if (!choice->all && !choice->filters.count && sandbox->status == SPEC_STOPPED)
        return false;
    strv_foreach (filter, &choice->filters) {
        if (!passes(sandbox, filter))
            return false;
    }
    return true;
}

/* ---- the list -------------------------------------------------------------------------------- */

static const char *status_text(struct arena *arena, const struct sandbox *sandbox)
{
    if (sandbox->status != SPEC_STOPPED)
        return arena_printf(arena, "%s for %s", status_word(sandbox),
                table_since(arena, sandbox->container.state.created));
    if (!sandbox->life.ended)
        return "exited, nobody saw how";
    return arena_printf(arena, "exited (%d%s) %s ago", sandbox->life.code,
            sandbox->life.oom_killed ? ", out of memory" : "",
            table_since(arena, sandbox->life.finished));
}

static void add_row(struct table *table, const struct sandbox *sandbox)
{
    const char *cells[] = {sandbox->meta.name, sandbox->meta.image, sandbox->meta.isolation,
            strv_join(table->arena, &sandbox->meta.command, " "),
            status_text(table->arena, sandbox),
            sandbox->status == SPEC_STOPPED
                    ? "-"
                    : arena_printf(table->arena, "%d", sandbox->container.state.pid)};

    table_add(table, cells);
}

static struct json_object *row_json(const struct sandbox *sandbox)
{
    struct json_object *row = json_object_new_object();
    struct json_object *labels = json_object_new_object();
    struct json_object *command = json_object_new_array();

    for (size_t i = 0; i < sandbox->meta.labels.count; i++)
        json_add_str(
                labels, sandbox->meta.labels.items[i].key, sandbox->meta.labels.items[i].value);
    for (size_t i = 0; i < sandbox->meta.command.count; i++)
        json_object_array_add(command, json_object_new_string(sandbox->meta.command.words[i]));
    json_add_str(row, "Id", sandbox->meta.id);
    json_add_str(row, "Name", sandbox->meta.name);
    json_add_str(row, "Image", sandbox->meta.image);
    json_add_str(row, "Isolation", sandbox->meta.isolation);
    json_object_object_add(row, "Command", command);
    json_add_str(row, "Status", status_word(sandbox));
    json_object_object_add(row, "Pid",
            json_object_new_int(
                    sandbox->status == SPEC_STOPPED ? 0 : sandbox->container.state.pid));
    json_add_str(row, "Created", sandbox->container.state.created);
    if (sandbox->life.ended)
        json_object_object_add(row, "ExitCode", json_object_new_int(sandbox->life.code));
    json_object_object_add(row, "Labels", labels);
    return row;
}

int listing_print(
        struct engine *engine, const struct listing_choice *choice, FILE *out, struct error *err)
{
    static const char *const heading[] = {"NAME", "IMAGE", "ISOLATION", "COMMAND", "STATUS", "PID"};
    struct table table = {.arena = engine->arena, .columns = 6};
    _cleanup_json_ struct json_object *array = json_object_new_array();
    struct strv names = {0};
    const char *name;
    int r = check_filters(&choice->filters, err);

    if (r == 0)
        r = engine_list(engine, &names, err);
    if (r < 0)
        return r;
    table_add(&table, heading);
    strv_foreach (name, &names) {
        _cleanup_sandbox_ struct sandbox sandbox = {.record_fd = -1};
        if (engine_find(engine, name, &sandbox, NULL) < 0 || !wanted(&sandbox, choice))
            continue;
        if (choice->quiet)
            fprintf(out, "%s\n", sandbox.meta.name);
        else if (choice->json)
            json_object_array_add(array, row_json(&sandbox));
        else
            add_row(&table, &sandbox);
    }
    if (choice->json && !choice->quiet)
        fprintf(out, "%s\n", json_text_pretty(array));
    else if (!choice->quiet)
        table_print(&table, out);
    return 0;
}

/* ---- inspect --------------------------------------------------------------------------------- */

static struct json_object *state_json(const struct sandbox *sandbox)
{
    struct json_object *state = json_object_new_object();
    bool running = sandbox->status == SPEC_RUNNING || sandbox->status == SPEC_PAUSED;

    json_add_str(state, "Status", status_word(sandbox));
    json_object_object_add(state, "Running", json_object_new_boolean(running));
    json_object_object_add(
            state, "Paused", json_object_new_boolean(sandbox->status == SPEC_PAUSED));
    json_object_object_add(state, "Pid",
            json_object_new_int(
                    sandbox->status == SPEC_STOPPED ? 0 : sandbox->container.state.pid));
    json_object_object_add(state, "OOMKilled", json_object_new_boolean(sandbox->life.oom_killed));
    json_object_object_add(state, "ExitCode", json_object_new_int(sandbox->life.code));
    json_add_str(state, "StartedAt", sandbox->container.state.created);
    json_add_str(state, "FinishedAt", sandbox->life.finished);
    return state;
}

static struct json_object *cgroup_json(const struct cgroup_saved *saved)
{
    struct json_object *paths = json_object_new_object();

    for (size_t i = 0; i < saved->v1.count; i++)
        json_add_str(paths, saved->v1.items[i].controllers, saved->v1.items[i].path);
    json_add_str(paths, "unified", saved->unified);
    return paths;
}

int listing_inspect(
        struct engine *engine, const char *name, struct json_object **ret, struct error *err)
{
    _cleanup_sandbox_ struct sandbox sandbox = {.record_fd = -1};
    struct json_object *config = NULL;
    int r = engine_find(engine, name, &sandbox, err);

    if (r == 0)
        r = json_parse_file_at(
                sandbox.container.dir_fd < 0 ? sandbox.record_fd : sandbox.container.dir_fd,
                "config.json", &config, err);
    if (r < 0)
        return r;
    struct json_object *object = row_json(&sandbox);
    json_object_object_add(object, "State", state_json(&sandbox));
    json_add_str(object, "StopSignal", sandbox.meta.stop_signal);
    json_add_str(object, "Bundle", sandbox.container.state.bundle);
    json_add_str(object, "Rootfs", sandbox.container.state.rootfs);
    json_object_object_add(object, "Cgroups", cgroup_json(&sandbox.container.state.cgroup));
    json_object_object_add(object, "Config", config);
    *ret = object;
    return 0;
}
