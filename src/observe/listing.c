#include "observe/listing.h"

#include <errno.h>
#include <stdlib.h>

#include "base/cleanup.h"

#include "engine/health.h"
#include "engine/snapshot.h"
#include "engine/vm_call.h"
#include "engine/volumes.h"
#include "observe/dockerview.h"
#include "observe/filter.h"
#include "observe/format.h"
#include "observe/named.h"
#include "observe/networks.h"
#include "observe/rows.h"
#include "observe/sizes.h"
#include "observe/table.h"

#define SHORT_ID 12
#define SHORT_COMMAND 20

static const char usual[] = "{{.ID}}\t{{.Image}}\t{{.Command}}\t{{.RunningFor}}\t{{.Status}}\t"
                            "{{.Ports}}\t{{.Names}}";
static const char usual_with_size[] = "{{.ID}}\t{{.Image}}\t{{.Command}}\t{{.RunningFor}}\t"
                                      "{{.Status}}\t{{.Ports}}\t{{.Names}}\t{{.Size}}";
static const char *const heading_names[] = {
        "ID", "SANDBOX ID", "RunningFor", "CREATED", "CreatedAt", "CREATED AT", NULL};

/* ---- a row ----------------------------------------------------------------------------------- */

/* "", " (healthy)" … */
static const char *health_text(struct arena *arena, const struct sandbox *sandbox)
{
    struct health_report report;

    if (!sandbox->meta.health.test.count)
        return "";
    health_tell(sandbox, arena, &report);
    return arena_printf(
            arena, str_equal(report.status, "starting") ? " (health: %s)" : " (%s)", report.status);
}

/* As Docker words it. */
static const char *status_text(struct arena *arena, const struct sandbox *sandbox)
{
    const struct sandbox_life *life = &sandbox->life;

    switch (sandbox->status) {
    case SPEC_RUNNING:
        return arena_printf(
                arena, "Up %s%s", table_since(arena, life->started), health_text(arena, sandbox));
    case SPEC_PAUSED:
        return arena_printf(arena, "Up %s (Paused)", table_since(arena, life->started));
    case SPEC_STOPPED:
        break;
    case SPEC_CREATING:
    case SPEC_CREATED:
    case SPEC_STATUSES:
        return "Created";
    }
    if (!life->ended)
        return "Exited, nobody saw how";
    if (life->restarting)
        return arena_printf(
                arena, "Restarting (%d) %s ago", life->code, table_since(arena, life->finished));
    return arena_printf(arena, "Exited (%d%s) %s ago", life->code,
            life->oom_killed ? ", out of memory" : "", table_since(arena, life->finished));
}

static const char *cut(struct arena *arena, const char *text, size_t most, bool whole)
{
    if (!text || whole || strlen(text) <= most)
        return text;
    return arena_strndup(arena, text, most);
}

static const char *cut_command(struct arena *arena, const struct strv *command, bool whole)
{
    const char *text = strv_join(arena, command, " ");

    if (whole || strlen(text) <= SHORT_COMMAND)
        return arena_printf(arena, "\"%s\"", text);
    return arena_printf(arena, "\"%.*s…\"", SHORT_COMMAND - 1, text);
}

static int pid_of(const struct sandbox *sandbox)
{
    return sandbox->status == SPEC_STOPPED ? 0 : sandbox->container.state.pid;
}

/* What a row has of a sandbox in JSON and in templates alike. */
static struct json_object *common_json(struct arena *arena, const struct sandbox *sandbox)
{
    struct json_object *row = json_object_new_object();

    json_add_str(row, "Id", sandbox->meta.id);
    json_add_str(row, "Name", sandbox->meta.name);
    json_add_str(row, "Names", sandbox->meta.name);
    json_add_str(row, "Image", sandbox->meta.image ? sandbox->meta.image : "");
    json_add_str(row, "Isolation", sandbox->meta.isolation ? sandbox->meta.isolation : "");
    json_add_str(row, "State", sandbox_status_word(sandbox));
    json_add_str(row, "Status", status_text(arena, sandbox));
    json_object_object_add(row, "Pid", json_object_new_int(pid_of(sandbox)));
    json_add_str(row, "Created", sandbox->meta.created ? sandbox->meta.created : "");
    json_add_str(row, "CreatedAt", sandbox->meta.created ? sandbox->meta.created : "");
    json_object_object_add(row, "Labels", named_pairs_json(&sandbox->meta.labels));
    if (sandbox->life.ended && sandbox->status == SPEC_STOPPED)
        json_object_object_add(row, "ExitCode", json_object_new_int(sandbox->life.code));
    return row;
}

/* Asked for, or named by the template. */
static bool wants_sizes(const struct listing_choice *choice)
{
    return choice->sizes || str_equal(choice->sort, "size") ||
           (choice->format && strstr(choice->format, ".Size"));
}

static void add_sizes(struct engine *engine, const struct sandbox *sandbox, struct json_object *row)
{
    const struct sizes sizes = sizes_of(engine, sandbox);

    json_object_object_add(row, "SizeRw", json_object_new_int64((int64_t)sizes.changed));
    json_object_object_add(row, "SizeRootFs", json_object_new_int64((int64_t)sizes.whole));
    json_add_str(row, "Size", sizes_text(engine->arena, &sizes));
}

/* Its networks and volumes by name: lists in JSON, as Docker writes them for templates. */
static void add_places(
        struct arena *arena, const struct sandbox_meta *meta, struct json_object *row, bool json)
{
    struct strv networks = {0};
    struct strv volumes = {0};

    for (size_t i = 0; i < meta->network.joins.count; i++)
        strv_add(arena, &networks, meta->network.joins.items[i].network);
    for (size_t i = 0; i < meta->volumes.count; i++)
        strv_add(arena, &volumes, meta->volumes.items[i].name);
    json_object_object_add(row, "LocalVolumes", json_object_new_int((int)volumes.count));
    if (json) {
        json_object_object_add(row, "Networks", dockerview_words(&networks, 0));
        json_object_object_add(row, "Mounts", dockerview_words(&volumes, 0));
    } else {
        json_add_str(row, "Networks", strv_join(arena, &networks, ","));
        json_add_str(row, "Mounts", strv_join(arena, &volumes, ","));
    }
}

static struct json_object *row_json(
        struct engine *engine, const struct sandbox *sandbox, const struct listing_choice *choice)
{
    struct arena *arena = engine->arena;
    struct json_object *row = common_json(arena, sandbox);
    const struct sandbox_meta *meta = &sandbox->meta;
    bool json = str_equal(choice->format, "json");

    if (wants_sizes(choice))
        add_sizes(engine, sandbox, row);
    add_places(arena, meta, row, json);
    json_add_str(row, "Ports", networks_ports_text(engine, sandbox));
    if (json) {
        json_object_object_add(row, "Command", dockerview_words(&meta->command, 0));
        return row;
    }
    json_add_str(row, "Command", cut_command(arena, &meta->command, choice->whole));
    json_add_str(row, "ID", cut(arena, meta->id ? meta->id : "", SHORT_ID, choice->whole));
    json_add_str(
            row, "RunningFor", arena_printf(arena, "%s ago", table_since(arena, meta->created)));
    return row;
}

/* ---- the list -------------------------------------------------------------------------------- */

/* The latest first; what was created in the same moment by name. */
static int compare_rows(const void *a, const void *b)
{
    struct json_object *const *one = a;
    struct json_object *const *other = b;
    int order = strcmp(json_get_str(*other, "Created"), json_get_str(*one, "Created"));

    return order ? order : strcmp(json_get_str(*one, "Name"), json_get_str(*other, "Name"));
}

/* The member of a row that a word of --sort means. Rows of the same stay the latest first. */
static const char *sort_member(const char *word)
{
    static const char *const members[][2] = {{"command", "Command"}, {"id", "Id"},
            {"image", "Image"}, {"names", "Name"}, {"status", "State"}, {"size", "SizeRw"}};

    for (size_t i = 0; word && i < ARRAY_SIZE(members); i++)
        if (str_equal(members[i][0], word))
            return members[i][1];
    return NULL;
}

static int compare_members(struct json_object *one, struct json_object *other, const char *member)
{
    struct json_object *a = json_get(one, member);
    struct json_object *b = json_get(other, member);

    if (!json_object_is_type(a, json_type_int))
        return strcmp(json_object_get_string(a), json_object_get_string(b));
    int64_t first = json_object_get_int64(a);
    int64_t second = json_object_get_int64(b);
    return (first > second) - (first < second);
}

static int collect(struct engine *engine, const struct listing_choice *choice,
        struct json_object *rows, struct error *err)
{
    struct filter *filter;
    struct strv names = {0};
    const char *name;
    int r = filter_new(engine, &choice->filters, &filter, err);

    if (r == 0)
        r = engine_list(engine, &names, err);
    if (r < 0)
        return r;
    bool all = choice->all || choice->last || filter_wants_all(filter);
    strv_foreach (name, &names) {
        _cleanup_sandbox_ struct sandbox sandbox = {.record_fd = -1};
        if (engine_find(engine, name, &sandbox, NULL) < 0)
            continue; /* gone meanwhile */
        if ((all || sandbox_is_alive(&sandbox)) && filter_passes(filter, &sandbox))
            json_object_array_add(rows, row_json(engine, &sandbox, choice));
    }
    json_object_array_sort(rows, compare_rows);
    return 0;
}

int listing_print(
        struct engine *engine, const struct listing_choice *choice, FILE *out, struct error *err)
{
    const struct format_list list = {.usual = choice->sizes ? usual_with_size : usual,
            .names = heading_names,
            .no_heading = choice->no_heading};
    _cleanup_json_ struct json_object *rows = json_object_new_array();
    int r = collect(engine, choice, rows, err);

    if (r < 0)
        return r;
    const char *member = sort_member(choice->sort);
    if (member)
        rows_sort(rows, compare_members, member);
    size_t count = json_object_array_length(rows);
    if (choice->last > 0 && count > (size_t)choice->last)
        json_object_array_del_idx(rows, (size_t)choice->last, count - (size_t)choice->last);
    if (choice->quiet)
        return format_each(engine->arena, choice->whole ? "{{.Id}}" : "{{.ID}}", rows, out, err);
    return format_print(engine->arena, choice->format, &list, rows, out, err);
}

/* ---- inspect --------------------------------------------------------------------------------- */

static struct json_object *state_json(const struct sandbox *sandbox)
{
    struct json_object *state = json_object_new_object();
    bool running = sandbox->status == SPEC_RUNNING || sandbox->status == SPEC_PAUSED;

    json_add_str(state, "Status", sandbox_status_word(sandbox));
    json_object_object_add(state, "Running", json_object_new_boolean(running));
    json_object_object_add(
            state, "Paused", json_object_new_boolean(sandbox->status == SPEC_PAUSED));
    json_object_object_add(state, "Restarting", json_object_new_boolean(sandbox->life.restarting));
    json_object_object_add(state, "Pid", json_object_new_int(pid_of(sandbox)));
    json_add_str(state, "Error", sandbox->life.error ? sandbox->life.error : "");
    json_object_object_add(state, "OOMKilled", json_object_new_boolean(sandbox->life.oom_killed));
    json_object_object_add(state, "ExitCode", json_object_new_int(sandbox->life.code));
    json_add_str(state, "StartedAt", sandbox->life.started);
    json_add_str(state, "FinishedAt", sandbox->life.finished);
    return state;
}

/* The one that `viv restore` goes on from. */
static void add_snapshot(
        struct arena *arena, const struct sandbox *sandbox, struct json_object *object)
{
    struct sandbox_snapshot about;

    if (sandbox_snapshot_load(sandbox->record_fd, arena, &about, NULL) < 0)
        return;
    struct json_object *snapshot = json_object_new_object();
    json_add_str(snapshot, "Taken", about.taken);
    json_object_object_add(snapshot, "Size",
            json_object_new_int64((int64_t)sandbox_snapshot_size(sandbox->record_fd)));
    json_object_object_add(object, "Snapshot", snapshot);
}

/* What runs a machine that runs, and what the CPU in software was asked for and has not. */
static void add_machine(
        struct arena *arena, const struct sandbox *sandbox, struct json_object *object)
{
    struct proto_stats figures;

    if (sandbox->status != SPEC_RUNNING || !vm_is(&sandbox->container) ||
            vm_figures(&sandbox->container, arena, &figures, NULL) < 0)
        return;
    struct json_object *machine = json_object_new_object();
    struct json_object *unknown = json_object_new_object();
    json_add_str(machine, "Accelerator", figures.accel);
    json_add_str(machine, "Because", figures.because);
    json_object_object_add(machine, "Cpus", json_object_new_int((int)figures.cpus.count));
    json_object_object_add(machine, "Memory", json_object_new_int64((int64_t)figures.memory));
    for (size_t i = 0; i < figures.unknown.count; i++)
        json_object_object_add(unknown, figures.unknown.items[i].name,
                json_object_new_int64((int64_t)figures.unknown.items[i].count));
    json_object_object_add(machine, "UnknownInstructions", unknown);
    json_object_object_add(object, "Machine", machine);
}

static struct json_object *health_json(struct arena *arena, const struct sandbox *sandbox)
{
    struct health_report report;
    struct json_object *health = json_object_new_object();
    struct json_object *log = json_object_new_array();

    health_tell(sandbox, arena, &report);
    json_add_str(health, "Status", report.status);
    json_object_object_add(health, "FailingStreak", json_object_new_int(report.failing));
    for (size_t i = 0; i < report.log.count; i++) {
        const struct health_result *result = &report.log.items[i];
        struct json_object *entry = json_object_new_object();
        json_add_str(entry, "Start", result->start);
        json_add_str(entry, "End", result->end);
        json_object_object_add(entry, "ExitCode", json_object_new_int(result->code));
        json_add_str(entry, "Output", result->output ? result->output : "");
        json_object_array_add(log, entry);
    }
    json_object_object_add(health, "Log", log);
    return health;
}

static struct json_object *cgroup_json(const struct cgroup_saved *saved)
{
    struct json_object *paths = json_object_new_object();

    for (size_t i = 0; i < saved->v1.count; i++)
        json_add_str(paths, saved->v1.items[i].controllers, saved->v1.items[i].path);
    json_add_str(paths, "unified", saved->unified);
    return paths;
}

/* What is no directory of the user's: volumes are told already, the rest is ours. */
static bool is_own_mount(const struct sandbox *sandbox, const char *destination)
{
    static const char *const ours[] = {"/etc/hosts", "/etc/hostname", "/etc/resolv.conf"};

    for (size_t i = 0; !sandbox->kept && i < ARRAY_SIZE(ours); i++)
        if (str_equal(destination, ours[i]))
            return true;
    for (size_t i = 0; i < sandbox->meta.volumes.count; i++)
        if (str_equal(sandbox->meta.volumes.items[i].destination, destination))
            return true;
    return !destination || str_starts(destination, "/dev/");
}

static bool is_writable(struct json_object *mount)
{
    struct json_object *options = json_get(mount, "options");

    for (size_t i = 0; options && i < json_object_array_length(options); i++) {
        const char *option = json_object_get_string(json_object_array_get_idx(options, i));
        if (str_equal(option, "ro") || str_equal(option, "rro"))
            return false;
    }
    return true;
}

/* The volumes, and the user's directories of the host, as Docker tells them. */
static struct json_object *mounts_json(
        struct engine *engine, const struct sandbox *sandbox, struct json_object *config)
{
    struct json_object *mounts = json_object_new_array();
    _cleanup_json_ struct json_object *asked = NULL;

    /* the record has what was asked for; what runs has more: volumes, files for names */
    if (sandbox->kept)
        json_parse_file_at(sandbox->record_fd, "config.json", &asked, NULL);
    struct json_object *list = json_get(sandbox->kept ? asked : config, "mounts");
    for (size_t i = 0; i < sandbox->meta.volumes.count; i++) {
        const struct sandbox_volume *use = &sandbox->meta.volumes.items[i];
        struct json_object *mount = json_object_new_object();
        struct volume volume = {0};
        volume_find(engine, use->name, &volume, NULL);
        json_add_str(mount, "Type", "volume");
        json_add_str(mount, "Name", use->name);
        json_add_str(mount, "Source", volume.path);
        json_add_str(mount, "Destination", use->destination);
        json_object_object_add(mount, "RW",
                json_object_new_boolean(!strv_contains(&use->options, "ro") &&
                                        !strv_contains(&use->options, "rro")));
        json_object_array_add(mounts, mount);
    }
    for (size_t i = 0; list && i < json_object_array_length(list); i++) {
        struct json_object *item = json_object_array_get_idx(list, i);
        const char *destination = json_get_str(item, "destination");
        if (!str_equal(json_get_str(item, "type"), "bind") || is_own_mount(sandbox, destination))
            continue;
        struct json_object *mount = json_object_new_object();
        json_add_str(mount, "Type", "bind");
        json_add_str(mount, "Source", json_get_str(item, "source"));
        json_add_str(mount, "Destination", destination);
        json_object_object_add(mount, "RW", json_object_new_boolean(is_writable(item)));
        json_object_array_add(mounts, mount);
    }
    return mounts;
}

/* What it runs with; of one that ends at this moment, or is made, what its record has. */
static int read_config(const struct sandbox *sandbox, struct json_object **ret, struct error *err)
{
    int r = -ENOENT;

    if (sandbox->container.dir_fd >= 0)
        r = json_parse_file_at(
                sandbox->container.dir_fd, "config.json", ret, sandbox->kept ? NULL : err);
    if (r == -ENOENT && (sandbox->kept || sandbox->container.dir_fd < 0))
        r = json_parse_file_at(sandbox->record_fd, "config.json", ret, err);
    return r;
}

int listing_inspect(struct engine *engine, const char *name, bool sizes, struct json_object **ret,
        struct error *err)
{
    _cleanup_sandbox_ struct sandbox sandbox = {.record_fd = -1};
    struct json_object *config = NULL;
    int r = engine_find(engine, name, &sandbox, err);

    if (r == 0)
        r = read_config(&sandbox, &config, err);
    if (r < 0)
        return r;
    struct json_object *object = common_json(engine->arena, &sandbox);
    json_object_object_add(object, "Command", dockerview_words(&sandbox.meta.command, 0));
    struct json_object *state = state_json(&sandbox);
    json_object_object_add(state, "Health", health_json(engine->arena, &sandbox));
    json_object_object_add(object, "State", state);
    json_add_str(object, "Path", sandbox.meta.command.count ? sandbox.meta.command.words[0] : "");
    json_object_object_add(object, "Args", dockerview_words(&sandbox.meta.command, 1));
    json_add_str(object, "ImageName", sandbox.meta.image ? sandbox.meta.image : "");
    struct json_object *mounts = mounts_json(engine, &sandbox, config);
    json_object_object_add(object, "Mounts", mounts);
    if (sizes)
        add_sizes(engine, &sandbox, object);
    json_object_object_add(object, "RestartCount", json_object_new_int(sandbox.life.restarts));
    add_snapshot(engine->arena, &sandbox, object);
    add_machine(engine->arena, &sandbox, object);
    json_object_object_add(
            object, "HostConfig", dockerview_host(engine->arena, &sandbox, config, mounts));
    json_add_str(object, "StopSignal", sandbox.meta.stop_signal);
    json_add_str(object, "Bundle", sandbox.container.state.bundle);
    json_add_str(object, "Rootfs", sandbox.container.state.rootfs);
    json_object_object_add(object, "NetworkSettings", networks_of_json(engine, &sandbox));
    json_object_object_add(object, "Cgroups", cgroup_json(&sandbox.container.state.cgroup));
    dockerview_add_config(&sandbox, config);
    json_object_object_add(object, "Config", config);
    *ret = object;
    return 0;
}
