/* commit: an image of what a sandbox has made of its root, and of what it ran. */
#include "base/cleanup.h"
#include "base/json.h"
#include "cli/command.h"
#include "cli/imagecommands.h"
#include "cli/registry.h"
#include "engine/root.h"
#include "engine/rootless.h"

struct commit_flags {
    struct image_change change;
    struct opt_bool pause;
    const char *iidfile;
    bool quiet;
};

static const struct option_row rows[] = {
        OPTION('a', "author", OPTION_TEXT, struct commit_flags, change.author, "NAME",
                "who made it"),
        OPTION('c', "change", OPTION_LIST, struct commit_flags, change.changes, "LINE",
                "a line of a Dockerfile: \"CMD /bin/sh\", \"ENV A=1\" …"),
        OPTION('m', "message", OPTION_TEXT, struct commit_flags, change.message, "TEXT",
                "a comment in its history"),
        OPTION('p', "pause", OPTION_SWITCH, struct commit_flags, pause, NULL,
                "freeze a running sandbox meanwhile (the default; --pause=false)"),
        OPTION(0, "iidfile", OPTION_TEXT, struct commit_flags, iidfile, "FILE",
                "write the id of the image here too"),
        OPTION('q', "quiet", OPTION_FLAG, struct commit_flags, quiet, NULL,
                "understood for Podman's sake: only the id is said anyway"),
};
static const struct option_table table = OPTION_TABLE("Options", rows);
static const struct option_command command = {.name = "viv commit",
        .usage = "SANDBOX [NAME]",
        .about = "Makes an image of a sandbox's image and what the sandbox has changed, as one "
                 "more layer, with what it ran, and prints its id.",
        .least = 1,
        .most = 2,
        .tables = {&table}};

/* Words from `first` on; NULL, which takes the member away, for none. */
static struct json_object *words_from(const struct strv *words, size_t first)
{
    struct json_object *list = first < words->count ? json_object_new_array() : NULL;

    for (size_t i = first; i < words->count; i++)
        json_object_array_add(list, json_object_new_string(words->words[i]));
    return list;
}

/* A terminal's type and the host's name are nothing of the workload's. */
static struct json_object *variables(const struct sandbox_meta *meta, const struct strv *env)
{
    struct json_object *list = json_object_new_array();
    const char *variable;

    strv_foreach (variable, env) {
        if ((!meta->tty || !str_equal(variable, "TERM=xterm")) &&
                !str_starts(variable, "HOSTNAME="))
            json_object_array_add(list, json_object_new_string(variable));
    }
    return list;
}

static struct json_object *labels_of(const struct record_map *labels)
{
    struct json_object *object = labels->count ? json_object_new_object() : NULL;

    for (size_t i = 0; i < labels->count; i++)
        json_add_str(object, labels->items[i].key, labels->items[i].value);
    return object;
}

static struct json_object *text_or_none(const char *text)
{
    return str_empty(text) ? NULL : json_object_new_string(text);
}

/* What was run, as the members of an image's "config": so that `viv run` of the new image does the
 * same. What the sandbox did not decide about (volumes, ports, health) stays the image's. */
static int describe_run(struct engine *engine, const struct sandbox *sandbox,
        struct json_object *into, struct error *err)
{
    const struct sandbox_meta *meta = &sandbox->meta;
    bool term = str_empty(meta->stop_signal) || str_equal(meta->stop_signal, "SIGTERM");
    size_t program = meta->entrypoint.count;
    struct strv entrypoint = {.words = meta->command.words, .count = program};
    struct spec spec = {0};

    int r = engine_config(engine, sandbox, &spec, err);
    if (r < 0 || program > meta->command.count || !spec.process)
        return r;
    json_object_object_add(into, "Entrypoint", words_from(&entrypoint, 0));
    json_object_object_add(into, "Cmd", words_from(&meta->command, program));
    json_object_object_add(into, "Env", variables(meta, &spec.process->env));
    json_object_object_add(into, "WorkingDir", text_or_none(spec.process->cwd));
    json_object_object_add(into, "User", text_or_none(meta->user));
    json_object_object_add(into, "Labels", labels_of(&meta->labels));
    json_object_object_add(into, "StopSignal", term ? NULL : text_or_none(meta->stop_signal));
    return 0;
}

struct committing {
    struct engine *engine;
    const struct sandbox *sandbox;
    const struct image_change *change;
};

/* With the rights of the sandbox's user, since it may have files that nobody else may read. */
static int commit_root(void *data, char *out, struct error *err)
{
    const struct committing *on = data;
    const struct sandbox_meta *meta = &on->sandbox->meta;
    _cleanup_close_ int root = -1;
    struct image_store *store;
    int r = engine_root_is_here(on->engine, on->sandbox, err);

    if (r == 0)
        r = engine_images(on->engine, NULL, &store, err);
    if (r == 0 && !meta->image_id)
        r = engine_root_open_of(on->engine, on->sandbox, &root, err);
    return r < 0 ? r
                 : image_commit(
                           store, meta->image_id ? meta->id : NULL, root, on->change, out, err);
}

static int commit(struct engine *engine, const struct sandbox *sandbox,
        const struct commit_flags *flags, char *ret_id, struct error *err)
{
    struct committing on = {engine, sandbox, &flags->change};
    bool frozen = sandbox->status == SPEC_RUNNING && !(flags->pause.set && !flags->pause.value);
    int r = frozen ? container_pause(&sandbox->container, err) : 0;

    if (r == 0)
        r = rootless_call(engine->arena, &engine->host, commit_root, &on, ret_id, err);
    if (frozen)
        container_resume(&sandbox->container, NULL);
    return r;
}

int cli_commit(struct cli *cli, int argc, char **argv, struct error *err)
{
    _cleanup_engine_ struct engine engine = {0};
    _cleanup_sandbox_ struct sandbox sandbox = {.record_fd = -1};
    _cleanup_json_ struct json_object *config = json_object_new_object();
    struct commit_flags flags = {0};
    struct strv words = {0};
    char id[ROOTLESS_OUT_MAX];
    int r = cli_parse(cli, &command, argc, argv, &flags, &words, err);

    if (r != 0)
        return r < 0 ? r : 0;
    flags.change.name = words.count > 1 ? words.words[1] : NULL;
    flags.change.config = config;
    r = engine_open(cli->arena, cli->root, &engine, err);
    if (r == 0)
        r = engine_find(&engine, words.words[0], &sandbox, err);
    if (r == 0)
        r = describe_run(&engine, &sandbox, config, err);
    if (r == 0)
        r = commit(&engine, &sandbox, &flags, id, err);
    if (r == 0)
        r = registry_write_id("--iidfile", flags.iidfile, id, err);
    if (r == 0)
        printf("%s\n", id);
    return r;
}
