#include "engine/images.h"

#include <unistd.h>

#include "base/install.h"
#include "base/path.h"

static const char *images_root(struct engine *engine)
{
    return path_join(engine->arena, engine->data_root, "images");
}

int engine_images(struct engine *engine, const struct engine_registries *registries,
        struct image_store **ret, struct error *err)
{
    struct image_options options = {.root = images_root(engine),
            .owners_ignored = engine->host.rootless && engine->host.uid != 0};
    int r = 0;

    if (registries) {
        options.auth_file = registries->auth_file;
        options.certs_dir = registries->certs_dir;
    }
    if (!engine->images)
        r = image_open(&options, &engine->images, err);
    if (r == 0)
        *ret = engine->images;
    return r;
}

int engine_images_if_there(struct engine *engine, struct image_store **ret, struct error *err)
{
    if (!engine->images && access(images_root(engine), F_OK) < 0) {
        *ret = NULL;
        return 0;
    }
    return engine_images(engine, NULL, ret, err);
}

void engine_images_close(struct engine *engine)
{
    image_close(engine->images);
    engine->images = NULL;
}
