#include "engine/bury.h"

#include "base/cleanup.h"
#include "base/install.h"
#include "base/path.h"
#include "engine/idrange.h"
#include "engine/netfiles.h"
#include "engine/records.h"
#include "engine/vm_netns.h"
#include "engine/volume.h"
#include "net/lease.h"
#include "net/steps.h"
#include "net/sweep.h"

/* viv-nft's path; when it is missing there are no rules either. */
static const char *find_nft(struct arena *arena)
{
    const char *path = "viv-nft";

    install_find_program(arena, "viv-nft", &path, NULL);
    return path;
}

static int open_existing(struct engine *engine, struct networks *ret, struct error *err)
{
    return networks_open(engine->arena, engine->data_root, false, ret, err);
}

void bury_networks_of(struct engine *engine, const struct sandbox_meta *meta)
{
    _cleanup_networks_ struct networks networks = {0};

    if (!net_wants_anything(&meta->network))
        return;
    if (meta->network.pasta)
        net_end_pasta(
                path_join(engine->arena, record_run_path(engine, meta->name), NETFILE_PASTA_PID));

    if (open_existing(engine, &networks, NULL) == 0 && networks.fd >= 0)
        net_release_sandbox(&networks, find_nft(engine->arena), meta->id, NULL);
}

int sandbox_bury(struct engine *engine, struct sandbox *sandbox)
{
    if (record_try_lock(sandbox->record_fd) < 0)
        return 0; /* a monitor is at it */
    bury_networks_of(engine, &sandbox->meta);
    int r = vm_netns_delete(&sandbox->container, true, NULL);
    if (sandbox->life.id_first)
        idrange_release(&engine->store, sandbox->meta.name, (uint32_t)sandbox->life.id_first);
    if (r == 0)
        cleanup_close(&sandbox->container.dir_fd);
    if (sandbox->meta.remove) {
        record_remove(engine, sandbox->meta.name, sandbox->meta.id, sandbox->kept, NULL);
        volumes_drop(engine, &sandbox->meta);
    }
    record_unlock(sandbox->record_fd);
    return sandbox->meta.remove;
}

void bury_networks(struct engine *engine)
{
    _cleanup_networks_ struct networks networks = {0};
    struct strv names = {0};
    const char *name;

    if (open_existing(engine, &networks, NULL) < 0 ||
            networks_list(&networks, engine->arena, &names, NULL) < 0)
        return;
    strv_foreach (name, &names) {
        _cleanup_close_ int lock = lease_lock(&networks, name, NULL);
        if (lock >= 0)
            net_sweep(&networks, find_nft(engine->arena), name, NULL);
    }
}
