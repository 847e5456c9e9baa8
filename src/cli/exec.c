/* exec and attach: into a sandbox that runs. */
#include <sched.h>
#include <unistd.h>

#include "cli/command.h"
#include "cli/detachkeys.h"
#include "cli/runprocess.h"
#include "cli/select.h"
#include "cli/textfiles.h"
#include "engine/preserved.h"

struct exec_flags {
    bool interactive, tty, detach, privileged, latest;
    struct strv env, env_file;
    const char *workdir, *user, *detach_keys;
    struct opt_u64 preserve_fds;
};

static const struct option_row exec_rows[] = {
        OPTION('d', "detach", OPTION_FLAG, struct exec_flags, detach, NULL,
                "do not wait for the process"),
        OPTION('i', "interactive", OPTION_FLAG, struct exec_flags, interactive, NULL,
                "keep standard input open"),
        OPTION('t', "tty", OPTION_FLAG, struct exec_flags, tty, NULL, "give it a terminal"),
        OPTION('e', "env", OPTION_LIST, struct exec_flags, env, "NAME[=VALUE]",
                "an environment variable; without a value, pass yours on"),
        OPTION(0, "env-file", OPTION_LIST, struct exec_flags, env_file, "FILE",
                "the variables in a file, one a line"),
        OPTION('w', "workdir", OPTION_TEXT, struct exec_flags, workdir, "DIR",
                "working directory inside"),
        OPTION('u', "user", OPTION_TEXT, struct exec_flags, user, "USER[:GROUP]",
                "as this user of the sandbox"),
        OPTION(0, "privileged", OPTION_FLAG, struct exec_flags, privileged, NULL,
                "with all capabilities, and without the seccomp filter"),
        OPTION(0, "preserve-fds", OPTION_COUNT, struct exec_flags, preserve_fds, "N",
                "pass so many descriptors on, from 3 on"),
        OPTION(0, "detach-keys", OPTION_TEXT, struct exec_flags, detach_keys, "KEYS",
                "what leaves a terminal (ctrl-p,ctrl-q)"),
        SELECT_LATEST_ROW(struct exec_flags, latest),
};
static const struct option_table exec_table = OPTION_TABLE("Options", exec_rows);
static const struct option_command exec_command = {.name = "viv exec",
        .usage = "SANDBOX COMMAND…",
        .about = "Runs one more process in a sandbox.",
        .order = OPTIONS_FIRST,
        .most = SIZE_MAX,
        .tables = {&exec_table}};

/* Without a user namespace of its own, the sandbox's root owns our program file. */
static int protect(struct cli *cli, struct engine *engine, const char *name, struct error *err)
{
    _cleanup_sandbox_ struct sandbox sandbox = {.record_fd = -1};
    int r = engine_find(engine, name, &sandbox, err);

    if (r < 0 || (sandbox.container.state.namespaces & CLONE_NEWUSER))
        return r;
    return cli_protect(cli, err);
}

/* What -e and --env-file say, as `viv run` reads it. */
static int read_env(
        struct cli *cli, const struct exec_flags *flags, struct strv *ret, struct error *err)
{
    struct run_flags words = {.env = flags->env, .env_file = flags->env_file};
    struct run_input input = {.environment = environ};
    struct spec_process process = {0};
    struct spec spec = {.process = &process};
    struct run_build build = {.arena = cli->arena, .flags = &words, .input = &input, .spec = &spec};
    int r = textfiles_read(cli->arena, "--env-file", &words.env_file, &input.env_files, err);

    if (r == 0)
        r = run_env_apply(&build, err);
    *ret = process.env;
    return r;
}

int cli_exec(struct cli *cli, int argc, char **argv, struct error *err)
{
    _cleanup_engine_ struct engine engine = {0};
    struct exec_flags flags = {0};
    struct strv rest = {0};
    int status = 0;
    int r = cli_parse(cli, &exec_command, argc, argv, &flags, &rest, err);

    if (r != 0)
        return r < 0 ? r : 0;
    if (flags.tty && flags.interactive && !flags.detach && !isatty(0))
        return error_set(err, ENOTTY, "-t: the input is not a terminal; leave -t out, or -i");
    r = select_latest(cli, flags.latest, 2, &rest, err);
    if (r == 0)
        r = run_preserved_check(flags.preserve_fds.value, err);
    if (r == 0)
        r = preserved_check((unsigned)flags.preserve_fds.value, err);
    if (r < 0)
        return r;
    struct engine_exec exec = {.name = rest.words[0],
            .args = {rest.words + 1, rest.count - 1, rest.count},
            .cwd = flags.workdir,
            .user = flags.user,
            .interactive = flags.interactive,
            .tty = flags.tty,
            .detach = flags.detach,
            .privileged = flags.privileged,
            .preserve_fds = (unsigned)flags.preserve_fds.value};
    r = detach_keys_read(cli->arena, flags.detach_keys, &exec.detach_keys, err);
    if (r == 0)
        r = read_env(cli, &flags, &exec.env, err);
    if (r == 0)
        r = engine_open(cli->arena, cli->root, &engine, err);
    if (r == 0)
        r = protect(cli, &engine, exec.name, err);
    if (r == 0)
        r = engine_exec(&engine, &exec, &status, err);
    return r < 0 ? r : status;
}

/* ---- attach ---------------------------------------------------------------------------------- */

struct attach_flags {
    bool no_stdin, latest;
    struct opt_bool sig_proxy;
    const char *detach_keys;
};

static const struct option_row attach_rows[] = {
        OPTION(0, "no-stdin", OPTION_FLAG, struct attach_flags, no_stdin, NULL, "only watch"),
        OPTION(0, "sig-proxy", OPTION_SWITCH, struct attach_flags, sig_proxy, NULL,
                "--sig-proxy=false: signals end the command, not the workload"),
        OPTION(0, "detach-keys", OPTION_TEXT, struct attach_flags, detach_keys, "KEYS",
                "what leaves a terminal (ctrl-p,ctrl-q)"),
        SELECT_LATEST_ROW(struct attach_flags, latest),
};
static const struct option_table attach_table = OPTION_TABLE("Options", attach_rows);
static const struct option_command attach_command = {.name = "viv attach",
        .usage = "SANDBOX",
        .about = "Sits at a sandbox's streams until it ends, or until the detach keys are typed.",
        .most = 1,
        .tables = {&attach_table}};

int cli_attach(struct cli *cli, int argc, char **argv, struct error *err)
{
    _cleanup_engine_ struct engine engine = {0};
    struct attach_flags flags = {0};
    struct strv rest = {0};
    int status = 0;
    int r = cli_parse(cli, &attach_command, argc, argv, &flags, &rest, err);

    if (r != 0)
        return r < 0 ? r : 0;
    r = select_latest(cli, flags.latest, 1, &rest, err);
    if (r < 0)
        return r;
    struct engine_attach attach = {.name = rest.words[0],
            .input = !flags.no_stdin,
            .signals = !flags.sig_proxy.set || flags.sig_proxy.value};
    r = detach_keys_read(cli->arena, flags.detach_keys, &attach.detach_keys, err);
    if (r == 0)
        r = engine_open(cli->arena, cli->root, &engine, err);
    if (r == 0)
        r = engine_attach(&engine, &attach, &status, err);
    if (r == -ECANCELED)
        return 0;
    return r < 0 ? r : status;
}
