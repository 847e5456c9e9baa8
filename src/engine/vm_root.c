#include "engine/vm_root.h"

#include "base/install.h"
#include "base/path.h"

/* The built-in image has been made into a disk by the build. */
static int find_root(
        struct engine *engine, const struct spec *spec, const char **ret, struct error *err)
{
    const char *builtin;

    if (install_find_data(engine->arena, "busybox", &builtin, NULL) == 0 &&
            str_equal(builtin, spec->root->path))
        return install_find_data(engine->arena, "busybox.erofs", ret, err);
    return error_set(err, EOPNOTSUPP, "--isolation vm: only the built-in image runs in a machine");
}

int vm_configure(struct engine *engine, const struct engine_run *run, struct vm_config *ret,
        struct error *err)
{
    *ret = (struct vm_config){
            .accel = run->meta.accel,
            .kernel = run->meta.kernel,
            .templates = path_join(engine->arena, engine->data_root, "templates"),
            .interactive = run->meta.interactive || run->meta.tty,
            .status_fd = -1,
    };
    return find_root(engine, run->spec, &ret->root, err);
}
