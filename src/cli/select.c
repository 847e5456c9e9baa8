#include "cli/select.h"

#include <fcntl.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "observe/filter.h"

static bool fits(const struct sandbox *sandbox, enum select_state state)
{
    switch (state) {
    case SELECT_ANY:
        return true;
    case SELECT_ALIVE:
        return sandbox_is_alive(sandbox);
    case SELECT_DEAD:
        return !sandbox_is_alive(sandbox);
    case SELECT_RUNNING:
        return sandbox->status == SPEC_RUNNING;
    case SELECT_PAUSED:
        return sandbox->status == SPEC_PAUSED;
    }
    return false;
}

/* All that fit, or with `latest` the one of them that was created last. */
static int add_listed(struct engine *engine, const struct select_flags *flags,
        enum select_state state, struct strv *names, struct error *err)
{
    struct filter *filter;
    struct strv all = {0};
    const char *name;
    const char *latest = NULL;
    const char *created = "";
    int r = filter_new(engine, &flags->filter, &filter, err);

    if (r == 0)
        r = engine_list(engine, &all, err);
    if (r < 0)
        return r;
    strv_foreach (name, &all) {
        _cleanup_sandbox_ struct sandbox sandbox = {.record_fd = -1};
        if (engine_find(engine, name, &sandbox, NULL) < 0)
            continue; /* gone meanwhile */
        if (flags->latest && sandbox.meta.created && strcmp(sandbox.meta.created, created) >= 0) {
            created = sandbox.meta.created;
            latest = sandbox.meta.name;
        }
        if (!flags->latest && fits(&sandbox, state) && filter_passes(filter, &sandbox))
            strv_add(engine->arena, names, sandbox.meta.name);
    }
    if (flags->latest && !latest)
        return error_set(err, ENOENT, "--latest: there is no sandbox");
    if (latest)
        strv_add(engine->arena, names, latest);
    return 0;
}

static int add_of_file(struct cli *cli, const char *path, struct strv *names, struct error *err)
{
    char text[256];
    ssize_t got = io_read_small_at(AT_FDCWD, path, text, sizeof(text));

    if (got < 0)
        return error_sys(err, (int)-got, "--cidfile %s", path);
    text[strcspn(text, " \t\r\n")] = '\0';
    if (!*text)
        return error_set(err, EINVAL, "--cidfile %s: it holds no id", path);
    strv_add(cli->arena, names, arena_strdup(cli->arena, text));
    return 0;
}

/* What was named and is there. */
static void drop_missing(struct engine *engine, struct strv *names)
{
    size_t kept = 0;

    for (size_t i = 0; i < names->count; i++) {
        _cleanup_sandbox_ struct sandbox sandbox = {.record_fd = -1};
        if (engine_find(engine, names->words[i], &sandbox, NULL) != -ENOENT)
            names->words[kept++] = names->words[i];
    }
    names->count = kept;
}

int select_latest(struct cli *cli, bool latest, size_t least, struct strv *words, struct error *err)
{
    const struct select_flags flags = {.latest = latest};
    struct strv all = {0};
    const char *word;
    int r = latest ? select_names(cli, &flags, SELECT_ANY, &all, err) : 0;

    if (r < 0)
        return r;
    strv_foreach (word, words) {
        strv_add(cli->arena, &all, word);
    }
    if (all.count < least)
        return error_set(err, EINVAL,
                least == 1 ? "name a sandbox, or say --latest"
                           : "name a sandbox, or say --latest, and a command");
    *words = all;
    return 0;
}

int select_names(struct cli *cli, const struct select_flags *flags, enum select_state state,
        struct strv *names, struct error *err)
{
    _cleanup_engine_ struct engine engine = {0};
    bool chosen = flags->all || flags->filter.count;
    const char *path;

    if ((chosen || flags->latest) && (names->count || flags->cidfile.count))
        return error_set(err, EINVAL, "%s the sandboxes: name none",
                flags->latest ? "--latest chooses" : "--all and --filter choose");
    if (chosen && flags->latest)
        return error_set(err, EINVAL, "--latest is one sandbox: leave --all and --filter out");
    strv_foreach (path, &flags->cidfile) {
        int r = add_of_file(cli, path, names, err);
        if (r < 0)
            return r;
    }
    if (!chosen && !flags->latest && !names->count)
        return error_set(err, EINVAL, "name a sandbox, or say --all");
    if (!chosen && !flags->latest && !flags->ignore)
        return 0;
    int r = engine_open(cli->arena, cli->root, &engine, err);
    if (r == 0 && (chosen || flags->latest))
        r = add_listed(&engine, flags, state, names, err);
    if (r == 0 && flags->ignore)
        drop_missing(&engine, names);
    return r;
}
