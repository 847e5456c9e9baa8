#include "engine/rename.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/path.h"
#include "engine/connect.h"
#include "engine/events.h"
#include "engine/idrange.h"
#include "engine/records.h"

#define GROUPS ".renamed" /* names whose control group is another's until the next reboot */

static int taken(const char *name, struct error *err)
{
    return error_set(err, EEXIST, "there is a sandbox \"%s\" already", name);
}

static int move(int folder, const char *from, const char *to, struct error *err)
{
    if (renameat2(folder, from, folder, to, RENAME_NOREPLACE) == 0)
        return 0;
    if (errno == EEXIST)
        return taken(to, err);
    return error_sys(err, errno, "rename %s to %s", from, to);
}

/* The folder in the store, with what names it: the range of ids, and the control group. */
static int move_run(struct engine *engine, const struct sandbox *sandbox, const char *new_name,
        struct error *err)
{
    const char *old = sandbox->meta.name;
    int r = sandbox_has_run(sandbox) ? move(engine->store.fd, old, new_name, err) : 0;

    if (r < 0 || !sandbox_has_run(sandbox))
        return r;
    store_mark(&engine->store, GROUPS, old, sandbox->meta.id ? sandbox->meta.id : "");
    if (sandbox->life.id_first)
        idrange_rename(&engine->store, new_name, (uint32_t)sandbox->life.id_first);
    return 0;
}

int engine_rename(struct engine *engine, const char *name, const char *new_name, struct error *err)
{
    _cleanup_sandbox_ struct sandbox sandbox = {.record_fd = -1};
    int r = store_check_id(new_name, err);

    if (r == 0)
        r = engine_find(engine, name, &sandbox, err);
    if (r < 0)
        return r;
    const char *old = sandbox.meta.name;
    if (faccessat(engine->store.fd, new_name, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
        return taken(new_name, err);
    if (sandbox.kept)
        r = record_rename(engine, old, new_name, sandbox.meta.id, err);
    if (r < 0)
        return r;
    r = move_run(engine, &sandbox, new_name, err);
    if (r < 0 && sandbox.kept)
        record_rename(engine, new_name, old, sandbox.meta.id, NULL);
    if (r == 0 && !sandbox.kept)
        record_rename_id(engine->store.fd, sandbox.meta.id, new_name);
    sandbox.meta.name = new_name;
    if (r == 0 && sandbox.container.dir_fd >= 0 && net_wants_anything(&sandbox.meta.network))
        sandbox_rename_leases(engine, sandbox.meta.id, new_name, NULL);
    if (r == 0)
        event_of(engine, &sandbox.meta, "rename", "oldName", old);
    return r;
}

bool rename_left_group(const struct engine *engine, const char *name)
{
    char path[300];

    snprintf(path, sizeof(path), GROUPS "/%s", name);
    return faccessat(engine->store.fd, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}
