#include "cli/candidates.h"

#include "base/cleanup.h"
#include "engine/images.h"
#include "observe/networks.h"
#include "observe/volumes.h"
#include "spec/signals.h"

/* What is being completed: the word as far as it is written. */
struct writing {
    struct cli *cli;
    const char *begun;
    const char *end; /* stands behind each candidate */
};

static void offer(const struct writing *writing, const char *candidate)
{
    if (str_after(candidate, writing->begun))
        printf("%s%s\n", candidate, writing->end);
}

static void offer_words(const struct writing *writing, const char *words, char between)
{
    struct strv list = {0};
    const char *word;

    strv_split(writing->cli->arena, &list, words, between);
    strv_foreach (word, &list) {
        offer(writing, word);
    }
}

/* ---- what there is, of one kind -------------------------------------------------------------- */

static void offer_names(const struct writing *writing,
        int (*list)(struct engine *engine, struct strv *ret, struct error *err))
{
    _cleanup_engine_ struct engine engine = {0};
    struct strv names = {0};
    const char *name;

    if (engine_open(writing->cli->arena, writing->cli->root, &engine, NULL) < 0 ||
            list(&engine, &names, NULL) < 0)
        return;
    strv_foreach (name, &names) {
        offer(writing, name);
    }
}

static void offer_sandboxes(const struct writing *writing)
{
    offer_names(writing, engine_list);
}

static void offer_volumes(const struct writing *writing)
{
    offer_names(writing, volumes_kind.names);
}

static void offer_networks(const struct writing *writing)
{
    offer_names(writing, networks_kind.names);
}

/* Without the registry, unless it is being written. */
static void offer_image(const struct writing *writing, const char *name)
{
    static const char *const registries[] = {"docker.io/library/", "docker.io/", "localhost/"};

    for (size_t i = 0; i < ARRAY_SIZE(registries); i++) {
        const char *behind = str_after(name, registries[i]);
        if (!behind || !str_after(behind, writing->begun))
            continue;
        offer(writing, behind);
        return;
    }
    offer(writing, name);
}

static void offer_images(const struct writing *writing)
{
    _cleanup_engine_ struct engine engine = {0};
    struct image_store *store = NULL;
    struct image_info *images = NULL;
    size_t count = 0;
    const char *name;

    offer(writing, "busybox");
    if (engine_open(writing->cli->arena, writing->cli->root, &engine, NULL) < 0 ||
            engine_images_if_there(&engine, &store, NULL) < 0 || !store ||
            image_list(store, writing->cli->arena, &images, &count, NULL) < 0)
        return;
    for (size_t i = 0; i < count; i++)
        strv_foreach (name, &images[i].names) {
            offer_image(writing, name);
        }
}

static void offer_signals(const struct writing *writing)
{
    for (int number = 1; number < 32; number++)
        offer(writing, signal_name(number));
}

static void offer_policies(const struct writing *writing)
{
    offer_words(writing, "no always on-failure unless-stopped", ' ');
}

/* How usages and values call a kind of thing. */
static const struct {
    const char *called;
    void (*offer)(const struct writing *writing);
} kinds[] = {
        {"SANDBOX", offer_sandboxes},
        {"IMAGE", offer_images},
        {"VOLUME", offer_volumes},
        {"SOURCE", offer_volumes},
        {"NETWORK", offer_networks},
        {"SIGNAL", offer_signals},
        {"POLICY", offer_policies},
};

/* "[SANDBOX:]PATH", as a usage has it: what may stand there, and a ":" where that goes on. */
static void offer_kind(struct writing writing, const char *word)
{
    word += *word == '[';
    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        const char *behind = str_after(word, kinds[i].called);
        if (!behind || (*behind >= 'A' && *behind <= 'Z'))
            continue;
        writing.end = *behind == ':' ? ":" : "";
        kinds[i].offer(&writing);
    }
}

static void offer_kinds(const struct writing *writing, const char *words)
{
    struct strv list = {0};
    const char *word;

    strv_split(writing->cli->arena, &list, words, '|');
    strv_foreach (word, &list) {
        offer_kind(*writing, word);
    }
}

/* ---- where the word stands ------------------------------------------------------------------- */

static void offer_options(const struct writing *writing, const struct option_command *command)
{
    for (size_t i = 0; i < OPTION_TABLES_MAX && command->tables[i]; i++)
        for (size_t j = 0; j < command->tables[i]->count; j++) {
            const struct option_row *row = &command->tables[i]->rows[j];
            if (row->name && row->help)
                offer(writing, arena_printf(writing->cli->arena, "--%s", row->name));
        }
    offer(writing, "--help");
}

static void offer_value(const struct writing *writing, const struct option_row *row)
{
    if (row->kind == OPTION_FLAG || row->kind == OPTION_SWITCH)
        offer_words(writing, "true|false", '|');
    else if (row->kind == OPTION_CHOICE)
        offer_words(writing, row->value, '|');
    else if (row->value)
        offer_kinds(writing, row->value);
}

/* The usage's word for the nth argument: "NETWORK SANDBOX…". */
static void offer_argument(const struct writing *writing, const char *usage, size_t nth)
{
    struct strv words = {0};

    if (!usage)
        return;
    strv_split(writing->cli->arena, &words, usage, ' ');
    if (words.count > 0 && nth >= words.count && strstr(words.words[words.count - 1], "…"))
        nth = words.count - 1;
    if (nth < words.count)
        offer_kinds(writing, words.words[nth]);
}

/* Offers the names and values of options; true where the word is an argument. */
static bool is_argument(struct cli *cli, const struct option_command *command, int argc,
        char **argv, struct option_place *ret)
{
    options_place(command, argc - 1, argv + 1, ret);
    const struct writing writing = {cli, ret->begun, ""};
    if (ret->name)
        offer_options(&writing, command);
    else if (ret->row)
        offer_value(&writing, ret->row);
    return !ret->name && !ret->row;
}

void candidates_of_command(
        struct cli *cli, const struct option_command *command, int argc, char **argv)
{
    struct option_place place;

    if (!is_argument(cli, command, argc, argv, &place))
        return;
    const struct writing writing = {cli, place.begun, ""};
    offer_argument(&writing, command->usage, place.nth);
}

bool candidates_of_group(struct cli *cli, const struct option_command *command,
        const struct cli_group *group, int argc, char **argv)
{
    struct option_place place;

    if (!is_argument(cli, command, argc, argv, &place))
        return true;
    if (place.nth > 0)
        return false;
    const struct writing writing = {cli, place.begun, ""};
    for (size_t i = 0; i < group->count; i++)
        offer(&writing, group->commands[i].name);
    return true;
}
