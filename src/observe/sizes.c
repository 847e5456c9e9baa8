#include "observe/sizes.h"

#include "base/cleanup.h"
#include "engine/images.h"
#include "engine/snapshot.h"
#include "observe/table.h"

struct sizes sizes_of(struct engine *engine, const struct sandbox *sandbox)
{
    const struct sandbox_meta *meta = &sandbox->meta;
    struct image_store *store = NULL;
    struct image_info image;
    struct sizes sizes = {0};

    if (engine_images_if_there(engine, &store, NULL) < 0 || !store || !meta->id)
        return sizes;
    sizes.changed = image_root_usage(store, meta->id);
    sizes.whole = sizes.changed;
    if (meta->image_id && image_find(store, meta->image_id, engine->arena, &image, NULL) == 0)
        sizes.whole += image.size;
    return sizes;
}

int sizes_of_snapshots(struct engine *engine, struct snapshot_sizes *ret, struct error *err)
{
    struct snapshot_sizes sizes = {0};
    struct strv names = {0};
    const char *name;
    int r = engine_list(engine, &names, err);

    strv_foreach (name, &names) {
        _cleanup_sandbox_ struct sandbox sandbox = {.record_fd = -1};
        if (engine_find(engine, name, &sandbox, NULL) < 0)
            continue; /* it went meanwhile */
        uint64_t bytes = sandbox_snapshot_size(sandbox.record_fd);
        bool active = sandbox.life.restarting ||
                      (sandbox_has_run(&sandbox) && sandbox.status != SPEC_STOPPED);
        sizes.count += bytes > 0;
        sizes.active += bytes > 0 && active;
        sizes.bytes += bytes;
        sizes.free += active ? 0 : bytes;
    }
    *ret = sizes;
    return r;
}

const char *sizes_text(struct arena *arena, const struct sizes *sizes)
{
    return arena_printf(arena, "%s (virtual %s)", table_bytes(arena, sizes->changed),
            table_bytes(arena, sizes->whole));
}
