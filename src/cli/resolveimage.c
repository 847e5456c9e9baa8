#include "cli/resolveimage.h"

#include "base/install.h"
#include "base/json.h"
#include "cli/registry.h"

/* ---- its configuration ----------------------------------------------------------------------- */

static void read_words(
        struct arena *arena, struct json_object *from, const char *name, struct strv *ret)
{
    struct json_object *array = json_get(from, name);
    size_t count =
            json_object_is_type(array, json_type_array) ? json_object_array_length(array) : 0;

    for (size_t i = 0; i < count; i++) {
        struct json_object *word = json_object_array_get_idx(array, i);
        if (json_object_is_type(word, json_type_string))
            strv_add(arena, ret, json_object_get_string(word));
    }
}

/* The names of an object's members: a set, as Go writes it. */
static void read_names(
        struct arena *arena, struct json_object *from, const char *name, struct strv *ret)
{
    struct json_object *object = json_get(from, name);

    if (!json_object_is_type(object, json_type_object))
        return;
    json_object_object_foreach(object, key, value)
    {
        (void)value;
        strv_add(arena, ret, key);
    }
}

static void read_labels(struct arena *arena, struct json_object *from, struct record_map *ret)
{
    struct json_object *object = json_get(from, "Labels");

    if (!json_object_is_type(object, json_type_object))
        return;
    json_object_object_foreach(object, key, value)
    {
        if (!json_object_is_type(value, json_type_string))
            continue;
        struct record_pair *pair = RECORD_APPEND(arena, ret);
        pair->key = arena_strdup(arena, key);
        pair->value = arena_strdup(arena, json_object_get_string(value));
    }
}

static int64_t read_number(struct json_object *from, const char *name)
{
    struct json_object *value = json_get(from, name);

    return json_object_is_type(value, json_type_int) ? json_object_get_int64(value) : 0;
}

static void read_health(struct arena *arena, struct json_object *config, struct run_health *ret)
{
    struct json_object *from = json_get(config, "Healthcheck");

    if (!json_object_is_type(from, json_type_object))
        return;
    read_words(arena, from, "Test", &ret->test);
    ret->interval = read_number(from, "Interval");
    ret->timeout = read_number(from, "Timeout");
    ret->start_period = read_number(from, "StartPeriod");
    ret->start_interval = read_number(from, "StartInterval");
    ret->retries = read_number(from, "Retries");
}

static const char *read_text(struct arena *arena, struct json_object *from, const char *name)
{
    const char *text = json_get_str(from, name);

    return str_empty(text) ? NULL : arena_strdup(arena, text);
}

void resolve_image_config(struct arena *arena, struct json_object *config, struct run_image *ret)
{
    *ret = (struct run_image){0};
    if (!json_object_is_type(config, json_type_object))
        return;
    read_words(arena, config, "Entrypoint", &ret->entrypoint);
    read_words(arena, config, "Cmd", &ret->command);
    read_words(arena, config, "Env", &ret->env);
    read_names(arena, config, "Volumes", &ret->volumes);
    read_names(arena, config, "ExposedPorts", &ret->exposed);
    read_labels(arena, config, &ret->labels);
    read_health(arena, config, &ret->health);
    ret->workdir = read_text(arena, config, "WorkingDir");
    ret->user = read_text(arena, config, "User");
    ret->stop_signal = read_text(arena, config, "StopSignal");
}

/* ---- where it is ----------------------------------------------------------------------------- */

static bool is_in_store(struct engine *engine, const char *name)
{
    struct image_store *store;
    struct image_info info;

    return engine_images_if_there(engine, &store, NULL) == 0 && store &&
           image_find(store, name, engine->arena, &info, NULL) == 0;
}

static int built_in(struct cli *cli, struct resolved_image *ret, struct error *err)
{
    *ret = (struct resolved_image){0};
    int r = install_find_data(cli->arena, "busybox", &ret->folder, err);
    if (r < 0)
        return error_prefix(err, "the built-in image");
    strv_add(cli->arena, &ret->config.command, "sh");
    return 0;
}

static enum image_pull_policy policy_of(const struct run_flags *flags, bool look_only)
{
    if (look_only || str_equal(flags->pull, "never"))
        return IMAGE_PULL_NEVER;
    if (str_equal(flags->pull, "always"))
        return IMAGE_PULL_ALWAYS;
    return str_equal(flags->pull, "newer") ? IMAGE_PULL_NEWER : IMAGE_PULL_MISSING;
}

static int fetch(struct cli *cli, struct image_store *store, const struct run_flags *flags,
        const char *name, enum image_pull_policy policy, char *ret_id, struct error *err)
{
    const struct registry_flags registry = {.creds = flags->creds, .tls_verify = flags->tls_verify};
    _cleanup_progress_ struct progress progress = {0};
    struct image_access access;

    progress_start(&progress, stderr, flags->quiet);
    int r = registry_access(cli, &registry, &progress, &access, err);
    if (r == 0)
        r = image_pull(store, name, flags->platform, policy, &access, ret_id, err);
    progress_end(&progress);
    return r;
}

/* What is there already counts when nothing else was asked for: by id and short name too. */
static int find_or_fetch(struct cli *cli, struct image_store *store, const struct run_flags *flags,
        const char *name, bool look_only, char *ret_id, struct error *err)
{
    enum image_pull_policy policy = policy_of(flags, look_only);
    bool here_will_do = policy == IMAGE_PULL_MISSING || policy == IMAGE_PULL_NEVER;
    struct image_info info;

    if (here_will_do && !flags->platform && image_find(store, name, cli->arena, &info, NULL) == 0) {
        snprintf(ret_id, IMAGE_ID_SIZE, "%s", info.id);
        return 0;
    }
    int r = fetch(cli, store, flags, name, policy, ret_id, err);
    if (r == -ENOENT && look_only)
        return error_set(err, ENOENT,
                "image \"%s\" is not in the store, and explaining fetches nothing: `viv pull %s` "
                "first",
                name, name);
    return r;
}

int resolve_image(struct cli *cli, struct engine *engine, const struct run_flags *flags,
        const char *name, bool look_only, struct resolved_image *ret, struct error *err)
{
    const struct engine_registries registries = {flags->authfile, flags->cert_dir};
    _cleanup_json_ struct json_object *json = NULL;
    struct image_store *store;
    char id[IMAGE_ID_SIZE];

    if (str_equal(name, "busybox") && !flags->pull && !flags->platform &&
            !is_in_store(engine, name))
        return built_in(cli, ret, err);
    int r = engine_images(engine, &registries, &store, err);
    if (r == 0)
        r = find_or_fetch(cli, store, flags, name, look_only, id, err);
    if (r == 0)
        r = image_inspect(store, id, &json, err);
    if (r < 0)
        return r;
    *ret = (struct resolved_image){.id = arena_strdup(cli->arena, id)};
    resolve_image_config(cli->arena, json_get(json, "Config"), &ret->config);
    ret->config.wants_network = true;
    return 0;
}
