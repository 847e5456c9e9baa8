#include "cli/resolveimage.h"

#include "base/install.h"
#include "base/json.h"
#include "cli/registry.h"
#include "cli/runimage.h"

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
    const struct registry_platform parts = {flags->os, flags->arch, flags->variant};
    struct run_flags settled = *flags;
    _cleanup_json_ struct json_object *json = NULL;
    struct image_store *store;
    char id[IMAGE_ID_SIZE];

    int r = registry_platform(cli, &parts, &settled.platform, err);
    if (r < 0)
        return r;
    if (str_equal(name, "busybox") && !flags->pull && !settled.platform &&
            !is_in_store(engine, name))
        return built_in(cli, ret, err);
    r = engine_images(engine, &registries, &store, err);
    if (r == 0)
        r = find_or_fetch(cli, store, &settled, name, look_only, id, err);
    if (r == 0)
        r = image_inspect(store, id, &json, err);
    if (r < 0)
        return r;
    *ret = (struct resolved_image){.id = arena_strdup(cli->arena, id)};
    run_image_read(cli->arena, json_get(json, "Config"), &ret->config);
    ret->config.wants_network = true;
    return 0;
}
