/* run and explain: the same flags; one applies the plan, the other tells it. */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/path.h"
#include "cli/command.h"
#include "cli/resolve.h"
#include "cli/textfiles.h"
#include "engine/preserved.h"
#include "observe/explain.h"
#include "observe/style.h"
#include "observe/summary.h"
#include "observe/trace.h"
#include "spec/check.h"

/* The flags of `viv run`, and the few that only one of the two commands has. */
struct run_words {
    struct run_flags flags;
    const char *format; /* explain */
    bool summary;       /* run */
    struct opt_u64 fail_step, kill_step;
};

static const struct option_row run_rows[] = {
        OPTION(0, "summary", OPTION_FLAG, struct run_words, summary, NULL,
                "say in a few lines what isolated it, when it has ended"),
        OPTION(0, "debug-fail-step", OPTION_COUNT, struct run_words, fail_step, "N", NULL),
        OPTION(0, "debug-kill-step", OPTION_COUNT, struct run_words, kill_step, "N", NULL),
};
static const struct option_row explain_rows[] = {
        OPTION(0, "format", OPTION_CHOICE, struct run_words, format, "text|json",
                "how to print the steps"),
};
static const struct option_table run_table = OPTION_TABLE("Understanding", run_rows);
static const struct option_table explain_table = OPTION_TABLE("Output", explain_rows);

/* What both commands work out of the command line. */
struct prepared {
    struct engine engine;
    struct resolved_image image; /* empty with --rootfs and --bundle */
    bool look_only;              /* nothing is fetched */
    struct spec *spec;
    struct run_choices choices;
    struct engine_run run;
    struct strv told;
};

/* The command of run and its kin, with one table more. */
static struct option_command make_command(
        const char *name, const char *about, const struct option_table *own)
{
    struct option_command command = run_flags_command(name, about);
    size_t count = 0;

    while (command.tables[count])
        count++;
    command.tables[count] = own; /* run_flags_command leaves room, and a NULL behind */
    return command;
}

static const char *absolute_dir(
        struct cli *cli, const char *path, const char *what, struct error *err)
{
    struct stat found;
    char *absolute = realpath(path, NULL);

    if (!absolute || stat(absolute, &found) < 0) {
        error_sys_hint(
                err, errno, "name a directory of this host that can be read", "%s %s", what, path);
        free(absolute);
        return NULL;
    }
    const char *copy = arena_strdup(cli->arena, absolute);
    free(absolute);
    if (S_ISDIR(found.st_mode))
        return copy;
    error_set(err, ENOTDIR, "%s %s: that is not a directory; name one", what, path);
    return NULL;
}

static int load_bundle(struct cli *cli, struct run_flags *flags, struct spec *bundle,
        struct strv *told, struct error *err)
{
    flags->bundle = absolute_dir(cli, flags->bundle, "--bundle", err);
    if (!flags->bundle)
        return -err->errnum;
    return spec_load_at(AT_FDCWD, path_join(cli->arena, flags->bundle, "config.json"), cli->arena,
            bundle, told, err);
}

/* The image is the first argument unless --rootfs or --bundle says what to run. */
static int build(struct cli *cli, struct run_flags *flags, const struct strv *rest,
        struct prepared *ret, struct error *err)
{
    struct spec *bundle = arena_new(cli->arena, struct spec);
    char directory[4096];
    const char *root = NULL;
    struct run_input input = {.arguments = *rest,
            .environment = environ,
            .directory = getcwd(directory, sizeof(directory))};
    int r = 0;

    if (flags->bundle) {
        r = load_bundle(cli, flags, bundle, &ret->told, err);
        input.bundle = bundle;
    } else if (flags->rootfs) {
        root = absolute_dir(cli, flags->rootfs, "--rootfs", err);
        r = root ? 0 : -err->errnum;
    } else if (rest->count == 0) {
        r = error_set(err, EINVAL,
                "what is to be run? Name an image (busybox), or use --rootfs DIR or --bundle DIR");
    } else {
        r = resolve_image(
                cli, &ret->engine, flags, rest->words[0], ret->look_only, &ret->image, err);
        input.image = &ret->image.config;
        root = r == 0 ? "" : NULL; /* known when it is made */
    }
    if (r == 0)
        r = textfiles_read(cli->arena, "--env-file", &flags->env_file, &input.env_files, err);
    if (r == 0)
        r = textfiles_read(cli->arena, "--label-file", &flags->label_file, &input.label_files, err);
    if (r == 0)
        r = run_flags_build(cli->arena, flags, &input, &ret->spec, &ret->choices, err);
    if (r < 0)
        return r;
    if (root) {
        if (!ret->spec->root)
            ret->spec->root = arena_new(cli->arena, struct spec_root);
        ret->spec->root->path = root;
    }
    return 0;
}

static int prepare(struct cli *cli, struct run_flags *flags, const struct strv *rest,
        struct prepared *ret, struct error *err)
{
    int r = engine_open(cli->arena, cli->root, &ret->engine, err);

    if (r == 0)
        r = build(cli, flags, rest, ret, err);
    if (r == 0)
        r = resolve_run(cli, &ret->engine, ret->spec, &ret->choices, &ret->image, &ret->run, err);
    ret->run.told = &ret->told;
    ret->run.cidfile = flags->cidfile;
    return r;
}

/* --replace: who has the name goes. */
static int clear_name(struct prepared *prepared, const struct run_flags *flags, struct error *err)
{
    const struct engine_removal removal = {.force = true};

    if (!flags->replace)
        return 0;
    int r = engine_remove(&prepared->engine, flags->name, &removal, err);
    return r == -ENOENT ? 0 : r;
}

static void tell_all(struct prepared *prepared)
{
    const char *line;

    strv_foreach (line, &prepared->told) {
        cli_tell("%s", line);
    }
    prepared->told.count = 0;
}

static int apply(struct cli *cli, struct prepared *prepared, const struct run_words *words,
        struct error *err)
{
    struct engine_run *run = &prepared->run;
    struct trace trace = {0};
    int status = 0;
    int r = 0;

    if (run->meta.tty && run->meta.interactive && !run->detach && !isatty(0))
        return error_set(err, ENOTTY, "-t: the input is not a terminal; leave -t out, or -i");
    if (!spec_namespace_find(run->spec, "user"))
        r = cli_protect(cli, err); /* nothing, where protect_early() has seen to it */
    if (r == 0 && (prepared->choices.trace || prepared->choices.step)) {
        r = trace_init(&trace, prepared->choices.step, err);
        run->apply.watch = &trace.watch;
    }
    run->keep_signals = words->flags.sig_proxy.set && !words->flags.sig_proxy.value;
    run->apply.faults.fail_at = words->fail_step.value;
    run->apply.faults.kill_at = words->kill_step.value;
    if (r == 0)
        r = clear_name(prepared, &words->flags, err);
    if (r == 0)
        r = engine_run(&prepared->engine, run, &status, err);
    trace_end(&trace);
    tell_all(prepared);
    bool sits_at_output = run->attach[1] || run->attach[2] || !words->flags.attach.count;
    if (r == 0 && (run->detach || !sits_at_output))
        printf("%s\n", run->meta.id);
    return r < 0 ? r : status;
}

/* Where root's flags alone say that there is no user namespace, the program starts anew from its
 * protected copy at once, so that nothing is prepared twice. apply() looks at what came out. */
static int protect_early(struct cli *cli, const struct run_flags *flags, struct error *err)
{
    bool sure = str_equal(flags->isolation, "vm") || str_equal(flags->userns, "host");

    return sure && geteuid() == 0 ? cli_protect(cli, err) : 0;
}

int cli_run(struct cli *cli, int argc, char **argv, struct error *err)
{
    struct run_words words = {0};
    struct prepared prepared = {0};
    struct strv rest = {0};
    struct option_command command =
            make_command("viv run", "Makes a sandbox and runs a workload in it.", &run_table);

    int r = cli_parse(cli, &command, argc, argv, &words, &rest, err);
    if (r != 0)
        return r < 0 ? r : 0;
    r = run_preserved_check(words.flags.preserve_fds.value, err);
    if (r == 0)
        r = preserved_check((unsigned)words.flags.preserve_fds.value, err);
    if (r == 0)
        r = protect_early(cli, &words.flags, err);
    if (r == 0)
        r = prepare(cli, &words.flags, &rest, &prepared, err);
    if (r == 0)
        r = apply(cli, &prepared, &words, err);
    if (r >= 0 && words.summary) {
        fflush(stdout);
        summary_print(prepared.spec, &prepared.run.meta, stdout);
    }
    engine_close(&prepared.engine);
    return r;
}

int cli_create(struct cli *cli, int argc, char **argv, struct error *err)
{
    struct run_words words = {0};
    struct prepared prepared = {0};
    struct strv rest = {0};
    struct option_command command = run_flags_command(
            "viv create", "Makes a sandbox that `viv start` starts, and prints its id.");

    int r = cli_parse(cli, &command, argc, argv, &words, &rest, err);
    if (r != 0)
        return r < 0 ? r : 0;
    r = prepare(cli, &words.flags, &rest, &prepared, err);
    if (r == 0)
        r = clear_name(&prepared, &words.flags, err);
    if (r == 0)
        r = engine_create(&prepared.engine, &prepared.run, err);
    tell_all(&prepared);
    if (r == 0)
        printf("%s\n", prepared.run.meta.id);
    engine_close(&prepared.engine);
    return r;
}

int cli_explain(struct cli *cli, int argc, char **argv, struct error *err)
{
    struct run_words words = {0};
    struct prepared prepared = {.look_only = true};
    struct strv rest = {0};
    struct container_making making;
    struct option_command command = make_command("viv explain",
            "Tells each step that `viv run` with the same flags would take: what it asks of the "
            "kernel, which line of the configuration wants it, and why. Nothing is touched.",
            &explain_table);

    int r = cli_parse(cli, &command, argc, argv, &words, &rest, err);
    if (r != 0)
        return r < 0 ? r : 0;
    r = prepare(cli, &words.flags, &rest, &prepared, err);
    if (r == 0)
        r = engine_plan(&prepared.engine, &prepared.run, &making, err);
    if (r == 0) {
        _cleanup_json_ struct json_object *config = spec_write(prepared.spec);
        if (str_equal(words.format, "json")) {
            _cleanup_json_ struct json_object *steps = explain_json(&making.plan, config);
            style_print_line(stdout, json_text_pretty(steps));
        } else {
            explain_print(&making.plan, config, stdout);
        }
        tell_all(&prepared);
    }
    engine_close(&prepared.engine);
    return r;
}
