/* images, rmi, tag, history, and of `viv image`: inspect, exists, prune. */
#include <stdlib.h>
#include <unistd.h>

#include "base/json.h"
#include "cli/command.h"
#include "cli/imagecommands.h"
#include "cli/inspect.h"
#include "cli/registry.h"
#include "observe/format.h"
#include "observe/images.h"
#include "observe/table.h"

/* ---- images ---------------------------------------------------------------------------------- */

struct images_flags {
    bool all;
    struct images_choice choice;
};

static const struct option_row images_rows[] = {
        OPTION('a', "all", OPTION_FLAG, struct images_flags, all, NULL,
                "understood for Docker's sake: all are shown"),
        OPTION('q', "quiet", OPTION_FLAG, struct images_flags, choice.quiet, NULL, "ids only"),
        OPTION(0, "no-trunc", OPTION_FLAG, struct images_flags, choice.no_trunc, NULL, "whole ids"),
        OPTION(0, "digests", OPTION_FLAG, struct images_flags, choice.digests, NULL,
                "with the digests of the manifests"),
        OPTION('f', "filter", OPTION_LIST, struct images_flags, choice.filters, "KEY=VALUE",
                "dangling=, reference=, label=, before=, since=, until= …"),
        OPTION(0, "sort", OPTION_CHOICE, struct images_flags, choice.sort, IMAGES_SORTS,
                "in this order (created)"),
        OPTION('n', "noheading", OPTION_FLAG, struct images_flags, choice.no_heading, NULL,
                "no line of headings"),
        OPTION(0, "format", OPTION_TEXT, struct images_flags, choice.format, "FORMAT",
                "json, \"table TEMPLATE\", or a template for each line"),
};
static const struct option_table images_table = OPTION_TABLE("Options", images_rows);
static const struct option_command images_command = {.name = "viv images",
        .usage = "[NAME[:TAG]]",
        .about = "Lists the images of the store.",
        .most = 1,
        .tables = {&images_table}};

int cli_images(struct cli *cli, int argc, char **argv, struct error *err)
{
    _cleanup_engine_ struct engine engine = {0};
    struct images_flags flags = {0};
    struct image_store *store;
    struct strv rest = {0};
    int r = cli_parse(cli, &images_command, argc, argv, &flags, &rest, err);

    if (r != 0)
        return r < 0 ? r : 0;
    flags.choice.reference = rest.count ? rest.words[0] : NULL;
    r = registry_open(cli, NULL, &engine, &store, err);
    return r < 0 ? r : images_print(store, &flags.choice, stdout, err);
}

/* ---- rmi ------------------------------------------------------------------------------------- */

struct rmi_flags {
    bool force, ignore, all, no_prune;
};

static const struct option_row rmi_rows[] = {
        OPTION('f', "force", OPTION_FLAG, struct rmi_flags, force, NULL,
                "by its id, with all of its names"),
        OPTION('i', "ignore", OPTION_FLAG, struct rmi_flags, ignore, NULL,
                "no error for one that is not there"),
        OPTION('a', "all", OPTION_FLAG, struct rmi_flags, all, NULL, "every image"),
        OPTION(0, "no-prune", OPTION_FLAG, struct rmi_flags, no_prune, NULL,
                "understood for Docker's sake: no other image goes anyway"),
};
static const struct option_table rmi_table = OPTION_TABLE("Options", rmi_rows);
static const struct option_command rmi_command = {.name = "viv rmi",
        .usage = "IMAGE…",
        .about = "Takes names away from images, and with the last name the image itself. One that "
                 "a sandbox uses stays.",
        .most = SIZE_MAX,
        .tables = {&rmi_table}};

static int list_ids(struct cli *cli, struct image_store *store, struct strv *ret, struct error *err)
{
    struct image_info *images;
    size_t count;
    int r = image_list(store, cli->arena, &images, &count, err);

    for (size_t i = 0; r == 0 && i < count; i++)
        strv_add(cli->arena, ret, images[i].id);
    return r;
}

static int remove_one(struct cli *cli, struct image_store *store, const struct rmi_flags *flags,
        const char *image, struct error *err)
{
    struct strv untagged = {0};
    struct strv deleted = {0};
    const char *word;
    bool force = flags->force || flags->all;
    int r = image_remove(store, image, force, cli->arena, &untagged, &deleted, err);

    if (r < 0)
        return r;
    strv_foreach (word, &untagged) {
        printf("Untagged: %s\n", word);
    }
    strv_foreach (word, &deleted) {
        printf("Deleted: %s\n", word);
    }
    return 0;
}

int cli_rmi(struct cli *cli, int argc, char **argv, struct error *err)
{
    _cleanup_engine_ struct engine engine = {0};
    struct rmi_flags flags = {0};
    struct image_store *store;
    struct strv images = {0};
    const char *image;
    int status = 0;
    int r = cli_parse(cli, &rmi_command, argc, argv, &flags, &images, err);

    if (r != 0)
        return r < 0 ? r : 0;
    if ((images.count == 0) != flags.all)
        return error_set(err, EINVAL, "rmi: name images, or use --all");
    r = registry_open(cli, NULL, &engine, &store, err);
    if (r == 0 && flags.all)
        r = list_ids(cli, store, &images, err);
    if (r < 0)
        return r;
    strv_foreach (image, &images) {
        struct error own = ERROR_NONE;
        r = remove_one(cli, store, &flags, image, &own);
        if (r < 0 && !(r == -ENOENT && flags.ignore)) {
            cli_tell("%s", own.text);
            status = 1;
        }
    }
    return status;
}

/* ---- tag ------------------------------------------------------------------------------------- */

static const struct option_command tag_command = {.name = "viv tag",
        .usage = "IMAGE NAME…",
        .about = "Gives an image more names.",
        .least = 2,
        .most = SIZE_MAX};

int cli_tag(struct cli *cli, int argc, char **argv, struct error *err)
{
    _cleanup_engine_ struct engine engine = {0};
    struct image_store *store;
    struct strv words = {0};
    int nothing = 0;
    int r = cli_parse(cli, &tag_command, argc, argv, &nothing, &words, err);

    if (r != 0)
        return r < 0 ? r : 0;
    r = registry_open(cli, NULL, &engine, &store, err);
    for (size_t i = 1; i < words.count && r == 0; i++)
        r = image_tag(store, words.words[0], words.words[i], err);
    return r;
}

/* ---- history --------------------------------------------------------------------------------- */

static const struct option_row history_rows[] = {
        OPTION('q', "quiet", OPTION_FLAG, struct images_flags, choice.quiet, NULL, "ids only"),
        OPTION('H', "human", OPTION_SWITCH, struct images_flags, choice.human, NULL,
                "--human=false: times and bytes as they are"),
        OPTION(0, "no-trunc", OPTION_FLAG, struct images_flags, choice.no_trunc, NULL,
                "whole commands and ids"),
        OPTION(0, "format", OPTION_TEXT, struct images_flags, choice.format, "FORMAT",
                "json, \"table TEMPLATE\", or a template for each line"),
};
static const struct option_table history_table = OPTION_TABLE("Options", history_rows);
static const struct option_command history_command = {.name = "viv history",
        .usage = "IMAGE",
        .about = "Shows the steps that made an image, the newest first.",
        .least = 1,
        .most = 1,
        .tables = {&history_table}};

int cli_history(struct cli *cli, int argc, char **argv, struct error *err)
{
    _cleanup_engine_ struct engine engine = {0};
    struct images_flags flags = {0};
    struct image_store *store;
    struct strv rest = {0};
    int r = cli_parse(cli, &history_command, argc, argv, &flags, &rest, err);

    if (r != 0)
        return r < 0 ? r : 0;
    r = registry_open(cli, NULL, &engine, &store, err);
    return r < 0 ? r : images_print_history(store, rest.words[0], &flags.choice, stdout, err);
}

/* ---- image inspect, exists ------------------------------------------------------------------- */

static int inspect_one(
        struct engine *engine, const char *name, struct json_object **ret, struct error *err)
{
    struct image_store *store;
    int r = engine_images(engine, NULL, &store, err);

    return r < 0 ? r : image_inspect(store, name, ret, err);
}

int cli_image_inspect(struct cli *cli, int argc, char **argv, struct error *err)
{
    static const struct inspect_kind kind = {
            "viv image inspect", "IMAGE…", "Shows everything about images, as JSON.", inspect_one};

    return inspect_run(cli, &kind, argc, argv, err);
}

static const struct option_command exists_command = {.name = "viv image exists",
        .usage = "IMAGE",
        .about = "Ends with 0 when the image is in the store, with 1 when it is not.",
        .least = 1,
        .most = 1};

int cli_image_exists(struct cli *cli, int argc, char **argv, struct error *err)
{
    _cleanup_engine_ struct engine engine = {0};
    struct image_info info;
    struct image_store *store;
    struct strv rest = {0};
    int nothing = 0;
    int r = cli_parse(cli, &exists_command, argc, argv, &nothing, &rest, err);

    if (r != 0)
        return r < 0 ? r : 0;
    r = registry_open(cli, NULL, &engine, &store, err);
    if (r == 0)
        r = image_find(store, rest.words[0], cli->arena, &info, err);
    return r == -ENOENT ? 1 : r;
}

/* ---- prune ----------------------------------------------------------------------------------- */

struct prune_flags {
    bool all, force;
    struct strv filters;
};

static const struct option_row prune_rows[] = {
        OPTION('a', "all", OPTION_FLAG, struct prune_flags, all, NULL,
                "every image that no sandbox uses, not only those without a name"),
        OPTION('f', "force", OPTION_FLAG, struct prune_flags, force, NULL, "do not ask"),
        OPTION(0, "filter", OPTION_LIST, struct prune_flags, filters, "KEY=VALUE",
                "only those that pass, as viv images has them"),
};
const struct option_table image_prune_options = OPTION_TABLE("prune", prune_rows);
static const struct option_table prune_table = OPTION_TABLE("Options", prune_rows);
static const struct option_command prune_command = {.name = "viv image prune",
        .about = "Removes images without a name, interrupted downloads, and what nobody refers to.",
        .tables = {&prune_table}};

bool cli_sure(bool force, const char *question)
{
    char line[16];

    if (force || !isatty(0))
        return true;
    fprintf(stderr, "%s [y/N] ", question);
    return fgets(line, sizeof(line), stdin) && (line[0] == 'y' || line[0] == 'Y');
}

int cli_prune_images(struct cli *cli, struct image_store *store, bool all,
        const struct strv *filters, struct error *err)
{
    struct strv deleted = {0};
    struct strv passing = {0};
    uint64_t bytes = 0;
    const char *id;
    int r = filters->count ? images_choose(store, filters, cli->arena, &passing, err) : 0;

    if (r == 0)
        r = image_prune(
                store, all, filters->count ? &passing : NULL, cli->arena, &deleted, &bytes, err);
    if (r < 0)
        return r;
    strv_foreach (id, &deleted) {
        printf("Deleted: %s\n", id);
    }
    printf("Total reclaimed space: %s\n", table_bytes(cli->arena, bytes));
    return 0;
}

int cli_image_prune(struct cli *cli, int argc, char **argv, struct error *err)
{
    _cleanup_engine_ struct engine engine = {0};
    struct prune_flags flags = {0};
    struct image_store *store;
    struct strv rest = {0};
    int r = cli_parse(cli, &prune_command, argc, argv, &flags, &rest, err);

    if (r != 0)
        return r < 0 ? r : 0;
    if (!cli_sure(flags.force, flags.all ? "Remove all images that no sandbox uses?"
                                         : "Remove all images without a name?"))
        return 0;
    r = registry_open(cli, NULL, &engine, &store, err);
    return r < 0 ? r : cli_prune_images(cli, store, flags.all, &flags.filters, err);
}
