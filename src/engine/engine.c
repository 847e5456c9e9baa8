#include "engine/engine.h"

#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/path.h"
#include "base/str.h"
#include "engine/bury.h"
#include "engine/idrange.h"
#include "engine/images.h"
#include "engine/records.h"

const char *engine_data_root(struct arena *arena)
{
    const char *own = getenv("VIV_DATA_ROOT");
    const char *xdg = getenv("XDG_DATA_HOME");
    const char *home = getenv("HOME");

    if (!str_empty(own))
        return own;
    if (geteuid() == 0)
        return "/var/lib/viv";
    if (!str_empty(xdg))
        return path_join(arena, xdg, "viv");
    return path_join(arena, str_empty(home) ? "/" : home, ".local/share/viv");
}

/* Steps and records name what is below it, whatever the working directory is by then. */
static const char *absolute(struct arena *arena, const char *path)
{
    char directory[PATH_MAX];

    if (path[0] == '/' || !getcwd(directory, sizeof(directory)))
        return path;
    return path_join(arena, directory, path);
}

int engine_open(
        struct arena *arena, const struct engine_root *root, struct engine *ret, struct error *err)
{
    struct engine engine = {.arena = arena};
    const char *state = root ? root->state : NULL;

    if (!state)
        state = store_default_root(arena, "viv");
    engine.data_root = absolute(arena, root && root->data ? root->data : engine_data_root(arena));
    int r = store_open(arena, state, &engine.store, err);
    if (r < 0)
        return r;
    engine.seccomp_cache = path_join(arena, state, ".seccomp");
    r = container_host_detect(arena, &engine.host, err);
    if (r == 0)
        record_sweep(&engine);
    if (r == 0)
        r = container_sweep(&engine.store, err);
    if (r > 0) {
        idrange_sweep(&engine.store);
        record_sweep_ids(&engine);
        bury_networks(&engine);
    }
    if (r < 0) {
        store_close(&engine.store);
        return r;
    }
    *ret = engine;
    return 0;
}

void engine_close(struct engine *engine)
{
    engine_images_close(engine);
    if (engine->arena)
        store_close(&engine->store);
}

/* ---- finding --------------------------------------------------------------------------------- */

bool sandbox_is_alive(const struct sandbox *sandbox)
{
    return sandbox->status == SPEC_RUNNING || sandbox->status == SPEC_PAUSED ||
           sandbox->life.restarting;
}

bool sandbox_has_run(const struct sandbox *sandbox)
{
    return sandbox->container.dir_fd >= 0;
}

/* The process has ended, and the end is not written down: either that is just being done, and it
 * counts as running until then, or there is nobody left to do it. */
static void look_again(struct engine *engine, struct sandbox *sandbox)
{
    bool watched = record_is_watched(sandbox->record_fd);

    sandbox_life_load(sandbox->record_fd, engine->arena, &sandbox->life, NULL);
    if (watched && !sandbox->life.ended)
        sandbox->status = SPEC_RUNNING;
}

/* What is there of a sandbox of exactly this name. */
static int load(struct engine *engine, const char *name, struct sandbox *ret, struct error *err)
{
    struct sandbox sandbox = {.record_fd = -1};
    int r = record_open(engine, name, &sandbox.record_fd, err);

    sandbox.kept = r == 0;
    if (r < 0 && r != -ENOENT)
        return r;
    r = container_open(&engine->store, name, engine->arena, &sandbox.container, NULL);
    if (r < 0 && !sandbox.kept)
        return -ENOENT;
    if (r < 0)
        sandbox.container = (struct container){
                engine->arena, &engine->store, -1, {.id = arena_strdup(engine->arena, name)}};
    if (!sandbox.kept)
        sandbox.record_fd = fcntl(sandbox.container.dir_fd, F_DUPFD_CLOEXEC, 3);
    r = sandbox_meta_load(sandbox.record_fd, engine->arena, &sandbox.meta, NULL);
    if (r < 0 && !sandbox_has_run(&sandbox)) { /* half made, by someone who was killed */
        sandbox_close(&sandbox);
        return -ENOENT;
    }
    sandbox.meta.name = sandbox.container.state.id;
    sandbox_life_load(sandbox.record_fd, engine->arena, &sandbox.life, NULL);
    if (sandbox.life.restarting && !record_is_watched(sandbox.record_fd))
        sandbox.life.restarting = false; /* its monitor was killed while it waited */
    sandbox.status = sandbox_has_run(&sandbox) ? container_status(&sandbox.container)
                     : sandbox.life.started    ? SPEC_STOPPED
                                               : SPEC_CREATED;
    if (sandbox_has_run(&sandbox) && sandbox.status == SPEC_STOPPED && !sandbox.life.ended)
        look_again(engine, &sandbox);
    *ret = sandbox;
    return 0;
}

static int no_such(const char *name, struct error *err)
{
    return error_set(err, ENOENT, "no such sandbox: \"%s\"; `viv ps -a` lists them", name);
}

int engine_find(struct engine *engine, const char *name, struct sandbox *ret, struct error *err)
{
    struct sandbox sandbox = {.record_fd = -1};
    int r = store_check_id(name, err);

    if (r < 0)
        return r;
    r = load(engine, name, &sandbox, NULL);
    if (r == -ENOENT) {
        r = record_find(engine, name, &name, err);
        if (r == 0 && load(engine, name, &sandbox, err) == -ENOENT)
            r = no_such(name, err);
    }
    if (r < 0)
        return r;
    if (sandbox.status == SPEC_STOPPED && sandbox_has_run(&sandbox) &&
            sandbox_bury(engine, &sandbox) > 0) {
        sandbox_close(&sandbox);
        return no_such(name, err);
    }
    *ret = sandbox;
    return 0;
}

void sandbox_close(struct sandbox *sandbox)
{
    container_close(&sandbox->container);
    if (sandbox->container.store)
        cleanup_close(&sandbox->record_fd);
}

int engine_list(struct engine *engine, struct strv *ret, struct error *err)
{
    return record_list(engine, ret, err);
}
