/* cp: files into and out of a sandbox. */
#include <string.h>
#include <unistd.h>

#include "cli/command.h"
#include "engine/copy.h"

struct cp_flags {
    bool archive;
    bool follow;
    bool overwrite;
    bool quiet;
};

static const struct option_row rows[] = {
        OPTION('a', "archive", OPTION_FLAG, struct cp_flags, archive, NULL,
                "keep owners, as ids are seen inside, and with them set-user-id bits"),
        OPTION('L', "follow-link", OPTION_FLAG, struct cp_flags, follow, NULL,
                "copy what a SOURCE that is a symbolic link leads to"),
        OPTION(0, "overwrite", OPTION_FLAG, struct cp_flags, overwrite, NULL,
                "a folder may replace what is none, and the other way round"),
        OPTION('q', "quiet", OPTION_FLAG, struct cp_flags, quiet, NULL,
                "say nothing about what was copied or left out"),
};
static const struct option_table table = OPTION_TABLE("Options", rows);
static const struct option_command command = {.name = "viv cp",
        .usage = "SANDBOX:PATH|PATH|- SANDBOX:PATH|PATH|-",
        .about = "Copies files, links and whole folders into or out of a sandbox, running or not. "
                 "\"-\" is a tar archive on standard input or output.",
        .least = 2,
        .most = 2,
        .tables = {&table}};

/* As docker has it: a path of this host begins with "/" or ".", or has no colon. */
static struct engine_copy_end parse_end(struct cli *cli, const char *word)
{
    const char *colon = strchr(word, ':');

    if (str_equal(word, "-"))
        return (struct engine_copy_end){0};
    if (!colon || colon == word || word[0] == '/' || word[0] == '.')
        return (struct engine_copy_end){.path = word};
    return (struct engine_copy_end){
            arena_printf(cli->arena, "%.*s", (int)(colon - word), word), colon + 1};
}

static int check_ends(const struct engine_copy *copy, struct error *err)
{
    if (!copy->from.sandbox && !copy->to.sandbox)
        return error_set(err, EINVAL,
                "neither is in a sandbox: name one as SANDBOX:PATH (a path of this host that has a "
                "colon begins with / or ./)");
    if (!copy->to.path && isatty(1))
        return error_set(
                err, EINVAL, "an archive is nothing to look at: send standard output elsewhere");
    if (!copy->from.path && isatty(0))
        return error_set(err, EINVAL, "nothing to copy: standard input has to be a tar archive");
    return 0;
}

static void tell(const struct engine_copied *copied, const char *to)
{
    if (copied->left_out)
        cli_tell("left out: %llu device%s, which cp does not make",
                (unsigned long long)copied->left_out, copied->left_out == 1 ? "" : "s");
    if (isatty(2) && !str_equal(to, "-"))
        cli_tell("copied %llu bytes to %s", (unsigned long long)copied->bytes, to);
}

int cli_cp(struct cli *cli, int argc, char **argv, struct error *err)
{
    _cleanup_engine_ struct engine engine = {0};
    struct engine_copied copied = {0};
    struct cp_flags flags = {0};
    struct strv words = {0};
    int r = cli_parse(cli, &command, argc, argv, &flags, &words, err);

    if (r != 0)
        return r < 0 ? r : 0;
    const struct engine_copy copy = {.from = parse_end(cli, words.words[0]),
            .to = parse_end(cli, words.words[1]),
            .owners = flags.archive,
            .follow = flags.follow,
            .overwrite = flags.overwrite};
    r = check_ends(&copy, err);
    if (r == 0)
        r = engine_open(cli->arena, cli->root, &engine, err);
    if (r == 0)
        r = engine_copy(&engine, &copy, &copied, err);
    if (r == 0 && !flags.quiet)
        tell(&copied, words.words[1]);
    return r;
}
