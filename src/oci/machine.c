#include "oci/machine.h"

#include "base/cleanup.h"
#include "base/path.h"
#include "engine/engine.h"
#include "engine/idrange.h"
#include "engine/vm.h"
#include "engine/vm_root.h"
#include "oci/words.h"

static const char *root_of(const struct oci *oci, const struct container_request *request)
{
    const char *path = request->spec->root ? request->spec->root->path : "/";

    return path[0] == '/' || !request->bundle ? path : path_join(oci->arena, request->bundle, path);
}

static int make_reserved(struct oci *oci, struct container_request *request,
        struct container_making *ret, struct error *err)
{
    static const struct container_apply apply;
    struct vm_config config = {
            .root = root_of(oci, request),
            .root_fd = -1,
            .templates = path_join(oci->arena, engine_data_root(oci->arena), "templates"),
            .interactive = true,
            .status_fd = -1,
    };
    /* on the disk: /run, where the containers are remembered, is memory */
    static const char place[] = "/var/tmp";
    _cleanup_close_ int disk = -1;
    int r = 0;

    if (!request->host->rootless) /* viv-vmm's own, given back by oci_remove() */
        r = idrange_take(&oci->store, request->id, &config.id_first, err);
    if (r == 0)
        r = vm_disk_of_folder(oci->arena, place, config.root, &disk, err);
    config.root_fd = disk;
    return r < 0 ? r : vm_make(request, &config, &apply, ret, err);
}

/* Half made: the folder, and the range of ids that its name had. */
static void forget(struct oci *oci, const char *id)
{
    store_remove(&oci->store, id, NULL);
    idrange_sweep(&oci->store);
}

int oci_machine_make(struct oci *oci, struct container_request *request,
        struct container_making *ret, struct error *err)
{
    _cleanup_close_ int dir_fd = -1;
    int r = store_reserve(&oci->store, request->id, &dir_fd, err);

    if (r < 0)
        return r;
    request->dir_fd = dir_fd;
    r = make_reserved(oci, request, ret, err);
    if (r < 0) {
        forget(oci, request->id);
        return r;
    }
    store_settle(&oci->store, request->id);
    if (request->wait_for_start)
        return 0;
    struct container made = {
            .arena = oci->arena, .store = &oci->store, .dir_fd = dir_fd, .state = ret->state};
    r = container_poststart(&made, err);
    if (r < 0) {
        oci_remove(oci, &made, true, NULL);
        plan_run_end(&ret->run);
    }
    return r;
}
