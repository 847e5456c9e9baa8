#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "cli/candidates.h"
#include "cli/command.h"
#include "cli/imagecommands.h"

#define VERSION "0.1.0"
#define OWN_ERROR 125 /* Docker's and Podman's status for an error of their own */

static int help(struct cli *cli, int argc, char **argv, struct error *err);
static int version(struct cli *cli, int argc, char **argv, struct error *err);

static const struct cli_command commands[] = {
        {"run", "Sandboxes", "make a sandbox and run a workload in it", cli_run},
        {"create", "Sandboxes", "make a sandbox that is not started yet", cli_create},
        {"start", "Sandboxes", "start sandboxes that were created, or have ended", cli_start},
        {"restart", "Sandboxes", "stop sandboxes and start them again", cli_restart},
        {"exec", "Sandboxes", "run one more process in a sandbox", cli_exec},
        {"attach", "Sandboxes", "sit at a sandbox's streams", cli_attach},
        {"logs", "Sandboxes", "show what a sandbox has printed", cli_logs},
        {"ps", "Sandboxes", "list sandboxes", cli_ps},
        {"inspect", "Sandboxes", "show everything about sandboxes, as JSON", cli_inspect},
        {"events", "Sandboxes", "show what happens to sandboxes", cli_events},
        {"cp", "Sandboxes", "copy files into and out of a sandbox", cli_cp},
        {"top", "Sandboxes", "list the processes of a sandbox", cli_top},
        {"stats", "Sandboxes", "show what sandboxes use", cli_stats},
        {"update", "Sandboxes", "change the limits of sandboxes", cli_update},
        {"pause", "Sandboxes", "freeze sandboxes", cli_pause},
        {"unpause", "Sandboxes", "let frozen sandboxes go on", cli_unpause},
        {"kill", "Sandboxes", "send sandboxes a signal", cli_kill},
        {"stop", "Sandboxes", "end sandboxes, politely first", cli_stop},
        {"wait", "Sandboxes", "wait until sandboxes have ended, and print how", cli_wait},
        {"rename", "Sandboxes", "give a sandbox another name", cli_rename},
        {"healthcheck", "Sandboxes", "run a sandbox's health check", cli_healthcheck},
        {"rm", "Sandboxes", "take sandboxes away", cli_rm},
        {"container", "Sandboxes", "all of these, and more, as commands of their own",
                cli_container},
        {"volume", "Volumes", "make, list and take away volumes", cli_volume},
        {"network", "Networks", "make, list and take away networks; join and leave them",
                cli_network},
        {"port", "Networks", "show where published ports are", cli_port},
        {"pull", "Images", "fetch images", cli_pull},
        {"push", "Images", "send an image to a registry", cli_push},
        {"images", "Images", "list images", cli_images},
        {"rmi", "Images", "take images away", cli_rmi},
        {"tag", "Images", "give an image more names", cli_tag},
        {"history", "Images", "show the steps that made an image", cli_history},
        {"load", "Images", "read images from an archive", cli_load},
        {"save", "Images", "write images into an archive", cli_save},
        {"import", "Images", "make an image from a tarball", cli_import},
        {"commit", "Images", "make an image of what a sandbox has changed", cli_commit},
        {"diff", "Images", "list what a sandbox has changed", cli_diff},
        {"export", "Images", "write a sandbox's root as a tarball", cli_export},
        {"login", "Images", "keep a password for a registry", cli_login},
        {"logout", "Images", "forget it", cli_logout},
        {"search", "Images", "look for images in a registry", cli_search},
        {"image", "Images", "all of these, and more, as commands of their own", cli_image},
        {"system", "Images", "look after the store: df, prune, check", cli_system},
        {"boot", "Machines", "boot a machine of your own", cli_boot},
        {"snapshot", "Machines", "write a running machine to a file", cli_snapshot},
        {"restore", "Machines", "go on with a machine from its snapshot", cli_restore},
        {"explain", "Understanding", "tell what would be asked of the kernel, and why",
                cli_explain},
        {"check", "Understanding", "tell what this host can and cannot do", cli_check},
        {"completion", "Understanding", "complete command lines in a shell", cli_completion},
        {"help", NULL, "tell a command's options", help},
        {"version", NULL, "print the version", version},
};

struct global {
    struct engine_root root;
    bool version;
};

static const struct option_row global_rows[] = {
        OPTION(0, "root", OPTION_TEXT, struct global, root.state, "DIR",
                "where sandboxes are remembered (/run/viv, or $XDG_RUNTIME_DIR/viv)"),
        OPTION(0, "data-root", OPTION_TEXT, struct global, root.data, "DIR",
                "where images and volumes are kept (/var/lib/viv, or $XDG_DATA_HOME/viv)"),
        OPTION('v', "version", OPTION_FLAG, struct global, version, NULL, "print the version"),
};
static const struct option_table global_table = OPTION_TABLE("Options", global_rows);
static const struct option_command global_command = {
        .name = "viv",
        .usage = "COMMAND …",
        .about = "Runs a workload behind glass: as a container or as a machine, and shows what was "
                 "asked of the kernel and why.",
        .order = OPTIONS_FIRST,
        .most = SIZE_MAX,
        .tables = {&global_table},
};

static void print_commands(void)
{
    const char *group = "";

    cli_print_help(&global_command);
    for (size_t i = 0; i < ARRAY_SIZE(commands) && commands[i].group; i++) {
        if (!str_equal(group, commands[i].group))
            printf("\n%s:\n", commands[i].group);
        group = commands[i].group;
        printf("  %-11s %s\n", commands[i].name, commands[i].about);
    }
    printf("\n`viv COMMAND --help` tells a command's options. To begin with:\n"
           "  viv run --rm -it busybox\n  viv explain busybox\n");
}

/* What Docker and Podman have by other names, or not at all. */
static const char *elsewhere(const char *name)
{
    static const struct {
        const char *name, *instead;
    } others[] = {
            {"build", "images are built by others: `buildah bud -t NAME .`, `buildah push NAME "
                      "oci-archive:NAME.tar:NAME`, `viv load -i NAME.tar`; or change a sandbox and "
                      "`viv commit` it"},
            {"info", "`viv check` tells what this host can do, `viv system df` what is stored"},
            {"compose", "sandboxes of one network find each other by name: `viv network create`, "
                        "and `viv run --network NAME` for each"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(others); i++)
        if (str_equal(name, others[i].name))
            return others[i].instead;
    return NULL;
}

static int run_words(struct cli *cli, int argc, char **argv, struct error *err)
{
    static const struct cli_group all = {"viv", NULL, commands, ARRAY_SIZE(commands)};
    struct global global = {0};
    struct strv rest = {0};

    if (cli->root)
        global.root = *cli->root;
    if (cli->completing && candidates_of_group(cli, &global_command, &all, argc, argv))
        return 0;
    int r = options_parse(&global_command, argc - 1, argv + 1, cli->arena, &global, &rest, err);

    if (r < 0)
        return r;
    if (global.version)
        return version(cli, 1, argv, err);
    if (r == OPTIONS_HELP || rest.count == 0) {
        print_commands();
        return 0;
    }
    cli->root = arena_memdup(cli->arena, &global.root, sizeof(global.root));
    const char *instead = elsewhere(rest.words[0]);
    if (instead)
        return error_set(err, EINVAL, "there is no command \"%s\": %s", rest.words[0], instead);
    const struct cli_command *command = cli_find_command(&all, rest.words[0], err);
    return command ? command->run(cli, (int)rest.count, rest.words, err) : -EINVAL;
}

/* `viv help image ls` is `viv image ls --help`. */
static int help(struct cli *cli, int argc, char **argv, struct error *err)
{
    char **words = arena_alloc(cli->arena, ((size_t)argc + 1) * sizeof(*words));

    memcpy(words, argv, (size_t)argc * sizeof(*words));
    if (!cli->completing)
        words[argc++] = (char *)"--help";
    return cli->run(cli, argc, words, err);
}

static int version(struct cli *cli, int argc, char **argv, struct error *err)
{
    static const struct option_command command = {
            .name = "viv version", .about = "Prints the version."};
    struct strv rest = {0};
    int r = cli_parse(cli, &command, argc, argv, NULL, &rest, err);

    if (r == 0)
        printf("viv " VERSION "\n");
    return r < 0 ? r : 0;
}

int main(int argc, char **argv)
{
    _cleanup_arena_ struct arena arena = {0};
    struct error err = ERROR_NONE;
    struct cli cli = {.arena = &arena, .argv = argv, .run = run_words};

    io_fill_streams();
    umask(0022);
    int r = run_words(&cli, argc, argv, &err);
    fflush(stdout);
    if (r >= 0)
        return r;
    cli_tell("%s", err.text);
    return err.exit_status ? err.exit_status : OWN_ERROR;
}
