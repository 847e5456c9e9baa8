#include "observe/sizes.h"

#include "engine/images.h"
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

const char *sizes_text(struct arena *arena, const struct sizes *sizes)
{
    return arena_printf(arena, "%s (virtual %s)", table_bytes(arena, sizes->changed),
            table_bytes(arena, sizes->whole));
}
