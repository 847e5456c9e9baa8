#include "cli/command.h"

#include <stdarg.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/install.h"
#include "cli/candidates.h"
#include "observe/style.h"
#include "security/self.h"

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

void cli_print_help(const struct option_command *command)
{
    _cleanup_buf_ struct buf text = {0};

    options_help(command, terminal_width(), &text);
    fputs(buf_text(&text), stdout);
}

int cli_parse(struct cli *cli, const struct option_command *command, int argc, char **argv,
        void *into, struct strv *ret_rest, struct error *err)
{
    if (cli->completing) {
        candidates_of_command(cli, command, argc, argv);
        return OPTIONS_HELP;
    }
    int r = options_parse(command, argc - 1, argv + 1, cli->arena, into, ret_rest, err);

    if (r == OPTIONS_HELP)
        cli_print_help(command);
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

const struct cli_command *cli_find_command(
        const struct cli_group *group, const char *name, struct error *err)
{
    _cleanup_arena_ struct arena arena = {0};
    const char **names = arena_new_array(&arena, const char *, group->count + 1);

    for (size_t i = 0; i < group->count; i++) {
        names[i] = group->commands[i].name;
        if (str_equal(names[i], name) || (str_equal(names[i], "ls") && str_equal(name, "list")))
            return &group->commands[i];
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
    if (cli->completing && candidates_of_group(cli, &own, group, argc, argv))
        return 0;
    int r = options_parse(&own, argc - 1, argv + 1, cli->arena, &nothing, &rest, err);

    if (r < 0)
        return r;
    if (r == OPTIONS_HELP || rest.count == 0) {
        memcpy(help.tables, group->tables, sizeof(help.tables));
        cli_print_help(&help);
        printf("\nCommands:\n");
        for (size_t i = 0; i < group->count; i++)
            printf("  %-11s %s\n", group->commands[i].name, group->commands[i].about);
        return 0;
    }
    const struct cli_command *command = cli_find_command(group, rest.words[0], err);
    return command ? command->run(cli, (int)rest.count, rest.words, err) : -EINVAL;
}
