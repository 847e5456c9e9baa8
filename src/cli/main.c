#include <stdarg.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/install.h"
#include "base/io.h"
#include "cli/command.h"
#include "cli/completion.h"
#include "cli/imagecommands.h"
#include "observe/style.h"
#include "security/self.h"

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

void cli_tell(const char *format, ...)
{
    const struct style *style = style_for(stderr);
    _cleanup_buf_ struct buf text = {0};
    va_list args;

    va_start(args, format);
    buf_vprintf(&text, format, args);
    va_end(args);
    if (text.length)
        str_tame(text.data, "\n"); /* it can name what a sandbox or an image has */
    fprintf(stderr, "%sviv:%s %s\n", style->bold, style->reset, buf_text(&text));
}

int cli_protect(struct cli *cli, struct error *err)
{
    install_keep_place();
    return security_protect_self(cli->argv, environ, err);
}

static size_t terminal_width(void)
{
    struct winsize size;

    return ioctl(1, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
}

static void print_help(const struct option_command *command)
{
    _cleanup_buf_ struct buf text = {0};

    options_help(command, terminal_width(), &text);
    fputs(buf_text(&text), stdout);
}

static void print_commands(void)
{
    const char *group = "";

    print_help(&global_command);
    for (size_t i = 0; i < ARRAY_SIZE(commands) && commands[i].group; i++) {
        if (!str_equal(group, commands[i].group))
            printf("\n%s:\n", commands[i].group);
        group = commands[i].group;
        printf("  %-11s %s\n", commands[i].name, commands[i].about);
    }
    printf("\n`viv COMMAND --help` tells a command's options. To begin with:\n"
           "  viv run --rm -it busybox\n  viv explain busybox\n");
}

int cli_parse(struct cli *cli, const struct option_command *command, int argc, char **argv,
        void *into, struct strv *ret_rest, struct error *err)
{
    if (cli->completing) {
        completion_of_command(cli, command, argc, argv);
        return OPTIONS_HELP;
    }
    int r = options_parse(command, argc - 1, argv + 1, cli->arena, into, ret_rest, err);

    if (r == OPTIONS_HELP)
        print_help(command);
    return r;
}

int cli_open(struct cli *cli, const struct option_command *command, int argc, char **argv,
        void *into, struct strv *ret_rest, struct engine *engine, struct error *err)
{
    int r = cli_parse(cli, command, argc, argv, into, ret_rest, err);

    return r != 0 ? r : engine_open(cli->arena, cli->root, engine, err);
}

int cli_each(
        struct cli *cli, const struct strv *names, cli_each_fn fn, void *data, struct error *err)
{
    _cleanup_engine_ struct engine engine = {0};
    const char *name;
    int status = 0;
    int r = engine_open(cli->arena, cli->root, &engine, err);

    if (r < 0)
        return r;
    strv_foreach (name, names) {
        struct error own = ERROR_NONE;
        int each = fn(&engine, name, data, &own);
        if (each < 0) {
            cli_tell("%s", own.text);
            status = 1;
        } else if (each != CLI_UNSAID) {
            printf("%s\n", name);
        }
    }
    return status;
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

static const struct cli_command *find_command(
        const struct cli_group *group, const char *name, struct error *err)
{
    const char *names[ARRAY_SIZE(commands)];

    for (size_t i = 0; i < group->count; i++) {
        names[i] = group->commands[i].name;
        if (str_equal(names[i], name) || (str_equal(names[i], "ls") && str_equal(name, "list")))
            return &group->commands[i];
    }
    const char *instead = group->commands == commands ? elsewhere(name) : NULL;
    if (instead) {
        error_set(err, EINVAL, "there is no command \"%s\": %s", name, instead);
        return NULL;
    }
    const char *closest = str_closest(name, names, group->count);
    error_set(err, EINVAL, "unknown command \"%s\"%s%s%s; `%s --help` lists them", name,
            closest ? "; did you mean \"" : "", closest ? closest : "", closest ? "\"?" : "",
            group->name);
    return NULL;
}

int cli_run_group(
        struct cli *cli, const struct cli_group *group, int argc, char **argv, struct error *err)
{
    const struct option_command own = {.name = group->name,
            .usage = "COMMAND …",
            .about = group->about,
            .order = OPTIONS_FIRST,
            .most = SIZE_MAX};
    struct option_command help = own;
    struct strv rest = {0};
    int nothing = 0;
    if (cli->completing && completion_of_group(cli, &own, group, argc, argv))
        return 0;
    int r = options_parse(&own, argc - 1, argv + 1, cli->arena, &nothing, &rest, err);

    if (r < 0)
        return r;
    if (r == OPTIONS_HELP || rest.count == 0) {
        memcpy(help.tables, group->tables, sizeof(help.tables));
        print_help(&help);
        printf("\nCommands:\n");
        for (size_t i = 0; i < group->count; i++)
            printf("  %-11s %s\n", group->commands[i].name, group->commands[i].about);
        return 0;
    }
    const struct cli_command *command = find_command(group, rest.words[0], err);
    return command ? command->run(cli, (int)rest.count, rest.words, err) : -EINVAL;
}

int cli_run_words(struct cli *cli, int argc, char **argv, struct error *err)
{
    static const struct cli_group all = {"viv", NULL, commands, ARRAY_SIZE(commands)};
    struct global global = {0};
    struct strv rest = {0};

    if (cli->root)
        global.root = *cli->root;
    if (cli->completing && completion_of_group(cli, &global_command, &all, argc, argv))
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
    const struct cli_command *command = find_command(&all, rest.words[0], err);
    return command ? command->run(cli, (int)rest.count, rest.words, err) : -EINVAL;
}

/* `viv help image ls` is `viv image ls --help`. */
static int help(struct cli *cli, int argc, char **argv, struct error *err)
{
    char **words = arena_alloc(cli->arena, ((size_t)argc + 1) * sizeof(*words));

    memcpy(words, argv, (size_t)argc * sizeof(*words));
    if (!cli->completing)
        words[argc++] = (char *)"--help";
    return cli_run_words(cli, argc, words, err);
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
    struct cli cli = {.arena = &arena, .argv = argv};

    io_fill_streams();
    umask(0022);
    int r = cli_run_words(&cli, argc, argv, &err);
    fflush(stdout);
    if (r >= 0)
        return r;
    cli_tell("%s", err.text);
    return err.exit_status ? err.exit_status : OWN_ERROR;
}
