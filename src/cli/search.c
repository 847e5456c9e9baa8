/* search: look for images in a registry, or for the tags of a repository. */
#include "cli/command.h"
#include "cli/imagecommands.h"
#include "cli/registry.h"
#include "observe/hits.h"

#define HITS_USUAL 25

struct search_flags {
    struct registry_flags registry;
    struct opt_u64 limit;
    struct strv filters;
    bool list_tags;
    struct hits_choice choice;
};

static const struct option_row search_rows[] = {
        OPTION(0, "limit", OPTION_COUNT, struct search_flags, limit, "N", "at most so many (25)"),
        OPTION('f', "filter", OPTION_LIST, struct search_flags, filters, "KEY=VALUE",
                "only those with this stars= (or more), is-official= or is-automated="),
        OPTION(0, "no-trunc", OPTION_FLAG, struct search_flags, choice.no_trunc, NULL,
                "whole descriptions"),
        OPTION(0, "list-tags", OPTION_FLAG, struct search_flags, list_tags, NULL,
                "TERM is a repository: list its tags"),
        OPTION(0, "format", OPTION_TEXT, struct search_flags, choice.format, "FORMAT",
                "json, \"table TEMPLATE\", or a template for each line"),
};
static const struct option_table search_table = OPTION_TABLE("Options", search_rows);
static const struct option_command search_command = {.name = "viv search",
        .usage = "[REGISTRY/]TERM",
        .about = "Looks for images, in registries that offer it.",
        .least = 1,
        .most = 1,
        .tables = {&search_table, &registry_table}};

static int find_hits(struct cli *cli, struct image_store *store, const struct search_flags *flags,
        const struct image_access *access, const char *term, struct error *err)
{
    struct hits_choice choice = flags->choice;
    struct image_hit *hits;
    size_t count;
    int r = image_search(store, term, access, cli->arena, &hits, &count, err);

    choice.most = flags->limit.set ? (size_t)flags->limit.value : HITS_USUAL;
    return r < 0 ? r : hits_print(hits, count, &choice, cli->arena, stdout, err);
}

static int find_tags(struct cli *cli, struct image_store *store, const struct search_flags *flags,
        const struct image_access *access, const char *name, struct error *err)
{
    struct hits_choice choice = flags->choice;
    struct strv tags = {0};
    int r = image_tags(store, name, access, cli->arena, &tags, err);

    choice.most = flags->limit.set ? (size_t)flags->limit.value : SIZE_MAX;
    return r < 0 ? r : hits_print_tags(&tags, &choice, cli->arena, stdout, err);
}

int cli_search(struct cli *cli, int argc, char **argv, struct error *err)
{
    _cleanup_engine_ struct engine engine = {0};
    struct search_flags flags = {0};
    struct image_access access;
    struct image_store *store;
    struct strv rest = {0};
    int r = cli_parse(cli, &search_command, argc, argv, &flags, &rest, err);

    if (r != 0)
        return r < 0 ? r : 0;
    r = hits_filter_read(&flags.filters, &flags.choice.filter, err);
    if (r == 0)
        r = registry_open(cli, &flags.registry, &engine, &store, err);
    if (r == 0)
        r = registry_access(cli, &flags.registry, NULL, &access, err);
    if (r < 0)
        return r;
    return (flags.list_tags ? find_tags : find_hits)(
            cli, store, &flags, &access, rest.words[0], err);
}
