/* ps, inspect, stats, logs: what only tells. */
#include <unistd.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "base/moment.h"
#include "cli/command.h"
#include "cli/inspect.h"
#include "cli/select.h"
#include "engine/images.h"
#include "observe/format.h"
#include "observe/listing.h"
#include "observe/networks.h"
#include "observe/output.h"
#include "observe/usage.h"
#include "observe/volumes.h"

/* ---- ps -------------------------------------------------------------------------------------- */

struct ps_flags {
    bool all, quiet, latest, no_trunc, size, no_heading, ignored;
    struct opt_u64 watch; /* seconds */
    const char *sort;
    struct opt_i64 last;
    struct strv filter;
    const char *format;
};

static const struct option_row ps_rows[] = {
        OPTION('a', "all", OPTION_FLAG, struct ps_flags, all, NULL, "also those that do not run"),
        OPTION('q', "quiet", OPTION_FLAG, struct ps_flags, quiet, NULL, "ids only"),
        OPTION('n', "last", OPTION_NUMBER, struct ps_flags, last, "N",
                "the N that were created last, also those that do not run"),
        OPTION('l', "latest", OPTION_FLAG, struct ps_flags, latest, NULL, "as --last 1"),
        OPTION('f', "filter", OPTION_LIST, struct ps_flags, filter, "KEY=VALUE",
                "only those that pass: name=, id=, status=, label= …"),
        OPTION(0, "no-trunc", OPTION_FLAG, struct ps_flags, no_trunc, NULL,
                "whole ids and commands"),
        OPTION('s', "size", OPTION_FLAG, struct ps_flags, size, NULL, "what they take of the disk"),
        OPTION('w', "watch", OPTION_COUNT, struct ps_flags, watch, "SECONDS",
                "again after so long, until it is interrupted"),
        OPTION(0, "sync", OPTION_FLAG, struct ps_flags, ignored, NULL, NULL),
        OPTION(0, "external", OPTION_FLAG, struct ps_flags, ignored, NULL, NULL),
        OPTION(0, "sort", OPTION_CHOICE, struct ps_flags, sort, LISTING_SORTS,
                "in this order (created)"),
        OPTION(0, "noheading", OPTION_FLAG, struct ps_flags, no_heading, NULL,
                "no heading above the table"),
        OPTION(0, "format", OPTION_TEXT, struct ps_flags, format, "FORMAT",
                "json, \"table TEMPLATE\", or a template for each line"),
};
static const struct option_table ps_table = OPTION_TABLE("Options", ps_rows);
static const struct option_command ps_command = {
        .name = "viv ps", .about = "Lists sandboxes, the latest first.", .tables = {&ps_table}};

/* What there is at this moment. */
static int list_once(struct cli *cli, struct listing_choice *choice, struct error *err)
{
    _cleanup_arena_ struct arena arena = {0};
    _cleanup_engine_ struct engine engine = {0};
    int r = engine_open(&arena, cli->root, &engine, err);

    if (r == 0)
        r = listing_print(&engine, choice, stdout, err);
    fflush(stdout);
    return r;
}

int cli_ps(struct cli *cli, int argc, char **argv, struct error *err)
{
    struct ps_flags flags = {0};
    struct strv rest = {0};
    int r = cli_parse(cli, &ps_command, argc, argv, &flags, &rest, err);

    if (r != 0)
        return r < 0 ? r : 0;
    struct listing_choice choice = {.all = flags.all,
            .quiet = flags.quiet,
            .whole = flags.no_trunc,
            .sizes = flags.size,
            .sort = flags.sort,
            .no_heading = flags.no_heading,
            .last = flags.latest ? 1 : flags.last.value,
            .format = flags.format,
            .filters = flags.filter};
    do {
        if (flags.watch.value && isatty(1))
            printf("\033[H\033[J");
        r = list_once(cli, &choice, err);
    } while (r == 0 && flags.watch.value && sleep((unsigned)flags.watch.value) == 0);
    return r;
}

/* ---- inspect --------------------------------------------------------------------------------- */

static int inspect_image(
        struct engine *engine, const char *name, struct json_object **ret, struct error *err)
{
    struct image_store *store = NULL;
    int r = engine_images_if_there(engine, &store, err);

    if (r == 0 && !store)
        return error_set(err, ENOENT, "there is no image \"%s\"", name);
    return r < 0 ? r : image_inspect(store, name, ret, err);
}

/* As Docker looks: what runs, then images, networks and volumes. */
static int inspect_any(struct engine *engine, const char *name, const struct inspect_choice *choice,
        struct json_object **ret, struct error *err)
{
    static const inspect_fn others[] = {inspect_image, networks_inspect, volumes_inspect};
    int r = listing_inspect(engine, name, choice->size, ret, err);
    bool may_be_other = r == -ENOENT || r == -EINVAL; /* no sandbox's name has a "/" or ":" */

    for (size_t i = 0; may_be_other && i < ARRAY_SIZE(others); i++)
        if (others[i](engine, name, ret, NULL) == 0)
            return 0;
    return r;
}

static int inspect_one(struct engine *engine, const char *name, const struct inspect_choice *choice,
        struct json_object **ret, struct error *err)
{
    if (!choice->type)
        return inspect_any(engine, name, choice, ret, err);
    if (str_equal(choice->type, "image"))
        return inspect_image(engine, name, ret, err);
    if (str_equal(choice->type, "network"))
        return networks_inspect(engine, name, ret, err);
    if (str_equal(choice->type, "volume"))
        return volumes_inspect(engine, name, ret, err);
    return listing_inspect(engine, name, choice->size, ret, err);
}

int cli_inspect(struct cli *cli, int argc, char **argv, struct error *err)
{
    static const struct inspect_kind kind = {.command = "viv inspect",
            .usage = "SANDBOX|IMAGE|NETWORK|VOLUME…",
            .about = "Shows everything about sandboxes: configuration, state, how they ended; or "
                     "about images, networks and volumes, where no sandbox has the name.",
            .inspect_by = inspect_one};

    return inspect_run(cli, &kind, argc, argv, err);
}

/* ---- stats ----------------------------------------------------------------------------------- */

struct stats_flags {
    bool no_stream, all, no_trunc, latest;
    const char *format;
    struct opt_i64 interval;
};

static const struct option_row stats_rows[] = {
        OPTION('a', "all", OPTION_FLAG, struct stats_flags, all, NULL,
                "also those that do not run"),
        SELECT_LATEST_ROW(struct stats_flags, latest),
        OPTION(0, "no-stream", OPTION_FLAG, struct stats_flags, no_stream, NULL,
                "one reading, then leave"),
        OPTION(0, "interval", OPTION_TIME, struct stats_flags, interval, "TIME",
                "between two readings (1s)"),
        OPTION(0, "no-trunc", OPTION_FLAG, struct stats_flags, no_trunc, NULL, "whole ids"),
        OPTION(0, "format", OPTION_TEXT, struct stats_flags, format, "FORMAT",
                "json, \"table TEMPLATE\", or a template for each line"),
};
static const struct option_table stats_table = OPTION_TABLE("Options", stats_rows);
static const struct option_command stats_command = {.name = "viv stats",
        .usage = "[SANDBOX…]",
        .about = "Shows what sandboxes use: CPU, memory, processes, networks, disk, pressure.",
        .most = SIZE_MAX,
        .tables = {&stats_table}};

int cli_stats(struct cli *cli, int argc, char **argv, struct error *err)
{
    _cleanup_engine_ struct engine engine = {0};
    struct stats_flags flags = {0};
    struct strv names = {0};
    int r = cli_parse(cli, &stats_command, argc, argv, &flags, &names, err);

    if (r != 0)
        return r < 0 ? r : 0;
    if (flags.interval.set &&
            (flags.interval.value < 1000000 || flags.interval.value > 3600000000000))
        return error_set(err, EINVAL, "--interval: from 1ms to 1h");
    r = select_latest(cli, flags.latest, 0, &names, err);
    if (r < 0)
        return r;
    const struct usage_choice choice = {.names = names,
            .all = flags.all,
            .whole = flags.no_trunc,
            .format = flags.format,
            .interval_ms = flags.interval.set ? (unsigned)(flags.interval.value / 1000000) : 1000};
    r = engine_open(cli->arena, cli->root, &engine, err);
    bool once = flags.no_stream || str_equal(flags.format, "json") || !isatty(1);
    while (r == 0) {
        if (!once)
            printf("\033[H\033[J");
        r = usage_print(&engine, &choice, stdout, err);
        fflush(stdout);
        if (once)
            break;
    }
    return r;
}

/* ---- logs ------------------------------------------------------------------------------------ */

struct logs_flags {
    bool follow, timestamps, names;
    struct select_flags select;
    const char *since, *until, *tail;
};

static const struct option_row logs_rows[] = {
        OPTION('f', "follow", OPTION_FLAG, struct logs_flags, follow, NULL,
                "go on until the sandbox ends"),
        OPTION('t', "timestamps", OPTION_FLAG, struct logs_flags, timestamps, NULL,
                "with the time of each line"),
        OPTION(0, "since", OPTION_TEXT, struct logs_flags, since, "TIME",
                "from this time on: 10m ago as \"10m\", or 2026-01-31T10:00:00Z"),
        OPTION(0, "until", OPTION_TEXT, struct logs_flags, until, "TIME", "up to this time"),
        OPTION('n', "tail", OPTION_TEXT, struct logs_flags, tail, "N|all",
                "only so many lines from the end of each"),
        OPTION(0, "names", OPTION_FLAG, struct logs_flags, names, NULL,
                "of several sandboxes: each line behind a name, not an id"),
        OPTION('l', "latest", OPTION_FLAG, struct logs_flags, select.latest, NULL,
                "of the one that was created last"),
};
static const struct option_table logs_table = OPTION_TABLE("Options", logs_rows);
static const struct option_command logs_command = {.name = "viv logs",
        .usage = "SANDBOX…",
        .about = "Shows what sandboxes have printed; of several, each line behind the short id.",
        .most = SIZE_MAX,
        .tables = {&logs_table}};

/* A time as it stands in the log. */
static int read_time(
        struct cli *cli, const char *flag, const char *text, const char **ret, struct error *err)
{
    char out[MOMENT_TEXT_SIZE];
    int64_t moment;

    if (!text)
        return 0;
    if (moment_read(text, &moment, err) < 0)
        return error_prefix(err, "%s", flag);
    *ret = arena_strdup(cli->arena, moment_text(moment, out));
    return 0;
}

int cli_logs(struct cli *cli, int argc, char **argv, struct error *err)
{
    _cleanup_engine_ struct engine engine = {0};
    struct logs_flags flags = {0};
    struct strv rest = {0};
    int r = cli_parse(cli, &logs_command, argc, argv, &flags, &rest, err);

    if (r != 0)
        return r < 0 ? r : 0;
    struct output_choice choice = {.follow = flags.follow,
            .timestamps = flags.timestamps,
            .names = flags.names,
            .tail = -1};
    r = read_time(cli, "--since", flags.since, &choice.since, err);
    if (r == 0)
        r = read_time(cli, "--until", flags.until, &choice.until, err);
    if (r < 0)
        return r;
    if (flags.tail && !str_equal(flags.tail, "all") &&
            (str_to_i64(flags.tail, &choice.tail) < 0 || choice.tail < 0))
        return error_set(err, EINVAL, "--tail %s: a number of lines, or all", flags.tail);
    r = select_names(cli, &flags.select, SELECT_ANY, &rest, err);
    if (r == 0)
        r = engine_open(cli->arena, cli->root, &engine, err);
    return r < 0 ? r : output_print(&engine, &rest, &choice, err);
}
