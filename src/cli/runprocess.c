#include "cli/runprocess.h"

#include <ctype.h>
#include <inttypes.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "spec/defaults.h"

static const struct option_row rows[] = {
        RUN_ROW('e', "env", OPTION_LIST, env, "NAME[=VALUE]",
                "Set a variable; without a value, pass yours on"),
        RUN_ROW(0, "env-file", OPTION_LIST, env_file, "FILE",
                "Set the variables in a file, one a line"),
        RUN_ROW(0, "env-host", OPTION_FLAG, env_host, NULL, "Pass all of your variables on"),
        RUN_ROW(0, "unsetenv", OPTION_LIST, unsetenv, "NAME",
                "Leave a variable of the image out, or of the default ones"),
        RUN_ROW(0, "unsetenv-all", OPTION_FLAG, unsetenv_all, NULL, "Leave all of these out"),
        RUN_ROW('w', "workdir", OPTION_TEXT, workdir, "DIR", "Directory to start in"),
        RUN_ROW('u', "user", OPTION_TEXT, user, "USER[:GROUP]",
                "User to run as, by name or number"),
        RUN_ROW(0, "group-add", OPTION_LIST, group_add, "GROUP",
                "Another group, by name or number"),
        RUN_ROW(0, "umask", OPTION_TEXT, umask, "MODE", "File mode mask, as in 0022"),
        RUN_ROW(0, "entrypoint", OPTION_TEXT, entrypoint, "COMMAND",
                "Program to start in place of the image's"),
        RUN_ROW(0, "ulimit", OPTION_LIST, ulimit, "NAME=SOFT[:HARD]",
                "Resource limit, as in nofile=1024:2048"),
        RUN_ROW(0, "oom-score-adj", OPTION_TEXT, oom_score_adj, "N",
                "From -1000 to 1000: how soon it is killed when memory runs out"),
};
const struct option_table run_process_table = OPTION_TABLE("Process", rows);

static size_t name_length(const char *entry)
{
    return strcspn(entry, "=");
}

static void drop_variable(struct strv *env, const char *name)
{
    size_t at = strv_find_variable(env, name);

    if (at == env->count)
        return;
    memmove(&env->words[at], &env->words[at + 1], (env->count - at) * sizeof(char *));
    env->count--;
}

/* The caller's own "NAME=VALUE", NULL if it has none. */
static const char *own_variable(const struct run_input *input, const char *name)
{
    size_t length = strlen(name);

    for (char *const *at = input->environment; at && *at; at++)
        if (name_length(*at) == length && memcmp(*at, name, length) == 0 && (*at)[length])
            return *at;
    return NULL;
}

/* "NAME=VALUE" as it is; "NAME" is the caller's own, or unset where there is none. */
static int add_variable(
        struct run_build *build, const char *entry, const char *where, struct error *err)
{
    struct strv *env = &build->spec->process->env;

    if (name_length(entry) == 0)
        return error_set(err, EINVAL, "%s \"%s\": the variable has no name", where, entry);
    if (strchr(entry, '='))
        strv_set_variable(build->arena, env, entry);
    else if (own_variable(build->input, entry))
        strv_set_variable(build->arena, env, own_variable(build->input, entry));
    else
        drop_variable(env, entry);
    return 0;
}

static int add_file_line(
        struct run_build *build, const char *line, const char *where, struct error *err)
{
    size_t end = name_length(line);

    if (strcspn(line, " \t") < end)
        return error_set(err, EINVAL, "%s: the variable's name \"%.*s\" has a blank inside", where,
                (int)(end < 64 ? end : 64), line);
    return add_variable(build, line, where, err);
}

int run_env_apply(struct run_build *build, struct error *err)
{
    const struct run_flags *flags = build->flags;
    int r = run_lines(
            build, "--env-file", &flags->env_file, &build->input->env_files, add_file_line, err);

    for (size_t i = 0; r == 0 && i < flags->env.count; i++)
        r = add_variable(build, flags->env.words[i], "--env", err);
    return r;
}

/* Weakest first: the default, the image, the caller's with --env-host, a terminal, files, single
 * variables. */
static int apply_env(struct run_build *build, struct error *err)
{
    const struct run_flags *flags = build->flags;
    const struct run_input *input = build->input;
    struct strv *env = &build->spec->process->env;
    const char *name;

    if (flags->unsetenv_all)
        env->count = 0;
    for (size_t i = 0; input->image && !flags->unsetenv_all && i < input->image->env.count; i++)
        if (add_variable(build, input->image->env.words[i], "the image's variable", err) < 0)
            return -EINVAL;
    for (char *const *at = input->environment; flags->env_host && at && *at; at++)
        if (name_length(*at) && (*at)[name_length(*at)])
            strv_set_variable(build->arena, env, *at);
    strv_foreach (name, &flags->unsetenv) {
        drop_variable(env, name);
    }
    if (flags->tty && strv_find_variable(env, "TERM") == env->count)
        strv_add(build->arena, env, "TERM=xterm");
    if (run_env_apply(build, err) < 0)
        return -EINVAL;
    build->choices->env_has_home = strv_find_variable(env, "HOME") < env->count;
    return 0;
}

/* One word, or a JSON list of words as Podman takes it. */
static int read_entrypoint(
        struct run_build *build, const char *text, struct strv *words, struct error *err)
{
    _cleanup_json_ struct json_object *json = NULL;

    if (text[0] != '[') {
        if (*text) /* "" means: none */
            strv_add(build->arena, words, text);
        return 0;
    }
    if (json_parse(text, strlen(text), "--entrypoint", &json, err) < 0)
        return -EINVAL;
    for (size_t i = 0; i < json_object_array_length(json); i++) {
        struct json_object *word = json_object_array_get_idx(json, i);
        if (!json_object_is_type(word, json_type_string))
            return error_set(err, EINVAL, "--entrypoint %s: word %zu is not a string", text, i + 1);
        strv_add(build->arena, words, json_object_get_string(word));
    }
    return 0;
}

static void add_all(struct arena *arena, struct strv *list, const struct strv *words)
{
    for (size_t i = 0; i < words->count; i++)
        strv_add(arena, list, words->words[i]);
}

/* --entrypoint also takes the image's arguments away. */
static int apply_command(struct run_build *build, struct error *err)
{
    const struct run_flags *flags = build->flags;
    const struct run_image *image = build->input->image;
    const struct strv *given = &build->choices->arguments;
    struct strv args = {0};

    if (flags->entrypoint && read_entrypoint(build, flags->entrypoint, &args, err) < 0)
        return -EINVAL;
    if (!flags->entrypoint && image)
        add_all(build->arena, &args, &image->entrypoint);
    build->choices->entrypoint = args;
    if (given->count)
        add_all(build->arena, &args, given);
    else if (image && !flags->entrypoint)
        add_all(build->arena, &args, &image->command);
    if (args.count == 0 && build->input->bundle)
        return 0; /* the bundle's own */
    if (args.count == 0)
        return error_set(err, EINVAL, "no command given%s: write it behind %s",
                image ? ", and the image has none" : "",
                image ? "the image's name" : "the options");
    build->spec->process->args = args;
    return 0;
}

static int apply_workdir(struct run_build *build, struct error *err)
{
    const struct run_image *image = build->input->image;
    const char *given = build->flags->workdir;

    if (given && given[0] != '/')
        return error_set(err, EINVAL, "--workdir %s: write an absolute path", given);
    if (given)
        build->spec->process->cwd = given;
    else if (image && !str_empty(image->workdir))
        build->spec->process->cwd = image->workdir[0] == '/'
                                            ? image->workdir
                                            : arena_printf(build->arena, "/%s", image->workdir);
    return 0;
}

/* A name, or a number that is an id; the last id means "none" to the kernel. */
static bool is_identity(const char *text, size_t length)
{
    uint64_t number = 0;
    bool digits = length > 0;

    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c <= ' ' || c == ':' || c == ',' || c == '/' || c == 0x7f)
            return false;
        digits &= isdigit(c) != 0;
        if (digits && length <= 19)
            number = number * 10 + (c - '0');
    }
    return length > 0 && length < 256 && text[0] != '-' &&
           !(digits && (length > 19 || number >= UINT32_MAX));
}

static int check_user(const char *flag, const char *user, struct error *err)
{
    const char *colon = strchr(user, ':');
    size_t length = colon ? (size_t)(colon - user) : strlen(user);
    bool good = is_identity(user, length) && (!colon || is_identity(colon + 1, strlen(colon + 1)));

    if (!good)
        return error_set(err, EINVAL,
                "%s \"%.128s\": write USER or USER:GROUP, each a name or a number from 0 to %u",
                flag, user, UINT32_MAX - 1);
    return 0;
}

static int apply_user(struct run_build *build, struct error *err)
{
    const struct run_flags *flags = build->flags;
    const struct run_image *image = build->input->image;
    struct opt_u32 *umask = &build->spec->process->user.umask;
    uint64_t mode;

    if (flags->user && check_user("--user", flags->user, err) < 0)
        return -EINVAL;
    build->choices->user = flags->user ? flags->user : image ? image->user : NULL;
    for (size_t i = 0; i < flags->group_add.count; i++) {
        const char *group = flags->group_add.words[i];
        if (!is_identity(group, strlen(group)))
            return error_set(err, EINVAL,
                    "--group-add \"%.128s\": write a name or a number from 0 to %u", group,
                    UINT32_MAX - 1);
        strv_add(build->arena, &build->choices->groups, group);
    }
    if (!flags->umask)
        return 0;
    if (str_to_u64(flags->umask, 8, &mode) < 0 || mode > 0777)
        return error_set(err, EINVAL, "--umask %s: write an octal mode up to 0777", flags->umask);
    *umask = (struct opt_u32){true, (uint32_t)mode};
    return 0;
}

static int read_limit(const char *text, uint64_t *ret)
{
    if (str_equal(text, "-1") || str_equal(text, "unlimited")) {
        *ret = UINT64_MAX;
        return 0;
    }
    return str_to_u64(text, 10, ret);
}

static const char *limit_type(struct arena *arena, const char *name)
{
    char *type = arena_printf(arena, "RLIMIT_%s", name);

    for (char *at = type; *at; at++)
        *at = (char)toupper((unsigned char)*at);
    return type;
}

static int unknown_limit(const char *text, const char *name, struct error *err)
{
    const char *closest = spec_words_closest_after(&spec_rlimits, "RLIMIT_", name);
    char lower[32] = "";

    if (!closest)
        return error_set(
                err, EINVAL, "--ulimit %s: there is no such limit, see getrlimit(2)", text);
    for (size_t i = 0; closest[i] && i + 1 < sizeof(lower); i++)
        lower[i] = (char)tolower((unsigned char)closest[i]);
    return error_set(
            err, EINVAL, "--ulimit %s: there is no such limit; did you mean %s?", text, lower);
}

/* "nofile=1024:2048"; without a hard limit it is the soft one */
static int add_ulimit(struct run_build *build, const char *text, struct error *err)
{
    const char *name;
    const char *value;
    struct spec_rlimit limit;
    struct spec_process *process = build->spec->process;

    if (run_split(build->arena, text, '=', &name, &value) < 0)
        return error_set(
                err, EINVAL, "--ulimit %s: write a name and limits, as in nofile=1024:2048", text);
    limit.type = limit_type(build->arena, name);
    if (!spec_words_have(&spec_rlimits, limit.type))
        return unknown_limit(text, name, err);
    const char *colon = strchr(value, ':');
    const char *soft = colon ? arena_strndup(build->arena, value, (size_t)(colon - value)) : value;
    if (read_limit(soft, &limit.soft) < 0 || read_limit(colon ? colon + 1 : soft, &limit.hard) < 0)
        return error_set(err, EINVAL,
                "--ulimit %s: write numbers, or -1 for no limit, as in nofile=1024:2048", text);
    if (limit.soft > limit.hard)
        return error_set(err, EINVAL, "--ulimit %s: the soft limit is above the hard one", text);
    for (size_t i = 0; i < process->rlimits.count; i++)
        if (str_equal(process->rlimits.items[i].type, limit.type)) {
            process->rlimits.items[i] = limit;
            return 0;
        }
    *spec_add_rlimit(build->arena, process, NULL) = limit;
    return 0;
}

int run_process_apply(struct run_build *build, struct error *err)
{
    const struct run_flags *flags = build->flags;
    int score;

    if (apply_command(build, err) < 0 || apply_env(build, err) < 0 ||
            apply_workdir(build, err) < 0 || apply_user(build, err) < 0)
        return -EINVAL;
    for (size_t i = 0; i < flags->ulimit.count; i++)
        if (add_ulimit(build, flags->ulimit.words[i], err) < 0)
            return -EINVAL;
    if (flags->tty)
        build->spec->process->terminal = true;
    if (!flags->oom_score_adj)
        return 0;
    if (str_to_int(flags->oom_score_adj, &score) < 0 || score < -1000 || score > 1000)
        return error_set(err, EINVAL, "--oom-score-adj %s: write a number from -1000 to 1000",
                flags->oom_score_adj);
    build->spec->process->oomScoreAdj = (struct opt_i64){true, score};
    return 0;
}
