#include "image/ensure.h"

#include "base/arena.h"
#include "image/disk.h"
#include "image/shelf.h"
#include "image/worker.h"

int ensure_unpacked(
        struct image_store *store, const char *digest, const char *diff_id, struct error *err)
{
    struct worker worker;

    int r = worker_start(store, digest, -1, diff_id, &worker, err);
    return r < 0 ? r : worker_finish(store, &worker, err);
}

int ensure_layer(
        struct image_store *store, const char *digest, const char *diff_id, struct error *err)
{
    _cleanup_arena_ struct arena arena = {0};
    struct shelf_info info;
    bool there = shelf_has(store, diff_id, &arena, &info);

    if (there && str_equal(info.boot, store->boot))
        return 0;
    if (there) {
        struct error reason = ERROR_NONE;
        int r = shelf_compare(store, digest, diff_id, &reason);
        if (r == 0)
            return 0;
        if (r != -EBADMSG) {
            if (err)
                *err = reason;
            return r;
        }
        r = disk_remove_all(store, err);
        if (r < 0)
            return r;
    }
    int r = shelf_remove(store, diff_id, err);
    return r < 0 ? r : ensure_unpacked(store, digest, diff_id, err);
}
