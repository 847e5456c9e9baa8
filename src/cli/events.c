/* events: what happens to sandboxes. */
#include "observe/events.h"
#include "base/moment.h"
#include "cli/command.h"

struct events_flags {
    const char *since, *until, *format;
    struct strv filter;
    bool no_stream, no_trunc;
};

static const struct option_row events_rows[] = {
        OPTION(0, "since", OPTION_TEXT, struct events_flags, since, "TIME",
                "also what has been since then: \"10m\", 2026-01-31T10:00:00Z, seconds since 1970"),
        OPTION(0, "until", OPTION_TEXT, struct events_flags, until, "TIME", "up to this time"),
        OPTION('f', "filter", OPTION_LIST, struct events_flags, filter, "KEY=VALUE",
                "only those with this event=, container=, type=, image= or volume="),
        OPTION(0, "format", OPTION_TEXT, struct events_flags, format, "FORMAT",
                "json, or a template for each line"),
        OPTION(0, "no-stream", OPTION_FLAG, struct events_flags, no_stream, NULL,
                "what has been, and no more"),
        OPTION(0, "no-trunc", OPTION_FLAG, struct events_flags, no_trunc, NULL,
                "understood for Podman's sake: ids are whole anyway"),
};
static const struct option_table events_table = OPTION_TABLE("Options", events_rows);
static const struct option_command events_command = {.name = "viv events",
        .about = "Shows what happens to sandboxes, as it happens.",
        .tables = {&events_table}};

static int read_time(const char *flag, const char *text, int64_t *ret, struct error *err)
{
    int r = text ? moment_read(text, ret, err) : 0;

    return r < 0 ? error_prefix(err, "%s", flag) : 0;
}

int cli_events(struct cli *cli, int argc, char **argv, struct error *err)
{
    _cleanup_engine_ struct engine engine = {0};
    struct events_flags flags = {0};
    struct strv rest = {0};
    int r = cli_parse(cli, &events_command, argc, argv, &flags, &rest, err);

    if (r != 0)
        return r < 0 ? r : 0;
    struct events_choice choice = {.since_ns = flags.no_stream ? 0 : -1,
            .until_ns = -1,
            .follow = !flags.no_stream,
            .format = flags.format,
            .filters = flags.filter};
    r = read_time("--since", flags.since, &choice.since_ns, err);
    if (r == 0)
        r = read_time("--until", flags.until, &choice.until_ns, err);
    if (r == 0 && flags.until && !flags.since)
        choice.since_ns = 0;
    if (r == 0)
        r = engine_open(cli->arena, cli->root, &engine, err);
    return r < 0 ? r : events_print(&engine, &choice, stdout, err);
}
