#include "image/ingest.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "image/blobs.h"
#include "image/catalog.h"
#include "image/shelf.h"

void ingest_tell(const struct ingest *ingest, enum image_state state, const char *digest,
        uint64_t done, uint64_t total)
{
    struct image_event event = {.state = state, .digest = digest, .done = done, .total = total};

    if (ingest->event)
        ingest->event(&event, ingest->data);
}

void ingest_start(struct ingest *ingest, struct image_store *store, struct arena *arena,
        const struct manifest *manifest, const char *text, size_t length)
{
    *ingest = (struct ingest){
            .store = store, .arena = arena, .manifest = *manifest, .text = text, .length = length};
    digest_of(text, length, ingest->digest);
}

static int check_platform(struct ingest *ingest, const struct platform *wanted, struct error *err)
{
    struct platform found = manifest_config_platform(ingest->config);

    if (!wanted || str_empty(found.architecture) || platform_fit(wanted, &found) > 0)
        return 0;
    return error_set(err, ENOENT, "there is no image for %s; there are: %s",
            platform_text(wanted, ingest->arena), platform_text(&found, ingest->arena));
}

/* A layer that comes twice is taken in once. */
static bool came_before(const struct ingest *ingest, size_t index)
{
    for (size_t i = 0; i < index; i++)
        if (str_equal(ingest->layers[i].diff_id, ingest->layers[index].diff_id) &&
                str_equal(ingest->layers[i].blob->digest, ingest->layers[index].blob->digest))
            return true;
    return false;
}

static enum ingest_state first_state(struct ingest *ingest, size_t index)
{
    struct ingest_layer *layer = &ingest->layers[index];
    bool blob = blob_present(ingest->store, layer->blob->digest, layer->blob->size);

    if (came_before(ingest, index))
        return INGEST_DONE;
    if (!blob)
        return INGEST_MISSING;
    return shelf_has(ingest->store, layer->diff_id, NULL, NULL) ? INGEST_DONE : INGEST_HERE;
}

int ingest_config(struct ingest *ingest, const struct platform *platform, struct error *err)
{
    _cleanup_buf_ struct buf text = {.max = MANIFEST_SIZE_MAX};
    size_t count = ingest->manifest.count;
    const char **diff_ids;

    int r = blob_read(ingest->store, ingest->manifest.config.digest, &text, err);
    if (r == 0)
        r = json_parse(
                buf_text(&text), text.length, "the image's configuration", &ingest->config, err);
    if (r == 0)
        r = check_platform(ingest, platform, err);
    if (r == 0)
        r = manifest_diff_ids(ingest->config, &ingest->manifest, ingest->arena, &diff_ids, err);
    if (r < 0)
        return r;
    ingest->layers = arena_new_array(ingest->arena, struct ingest_layer, count);
    for (size_t i = 0; i < count; i++) {
        struct ingest_layer *layer = &ingest->layers[i];
        *layer = (struct ingest_layer){
                .blob = &ingest->manifest.items[i], .diff_id = diff_ids[i], .fd = -1};
        layer->state = first_state(ingest, i);
        uint64_t size = (uint64_t)layer->blob->size;
        if (layer->state == INGEST_DONE && !came_before(ingest, i))
            ingest_tell(ingest, IMAGE_PRESENT, layer->blob->digest, size, size);
    }
    return 0;
}

void ingest_deliver(struct ingest *ingest, size_t index, const char *path, int fd)
{
    struct ingest_layer *layer = &ingest->layers[index];

    layer->state = INGEST_HERE;
    layer->path = path;
    layer->fd = fd;
    if (fd >= 0) /* on its way to the disk while it is unpacked */
        sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE);
    ingest_tell(ingest, IMAGE_VERIFYING, layer->blob->digest, (uint64_t)layer->blob->size,
            (uint64_t)layer->blob->size);
}

static size_t parallel(void)
{
    long count = sysconf(_SC_NPROCESSORS_ONLN);

    return count < 1 ? 1 : count > INGEST_WORKERS_MAX ? INGEST_WORKERS_MAX : (size_t)count;
}

static void close_file(struct ingest_layer *layer)
{
    if (layer->fd >= 0)
        close(layer->fd);
    layer->fd = -1;
}

int ingest_advance(struct ingest *ingest, struct error *err)
{
    for (size_t i = 0; i < ingest->manifest.count && ingest->working < parallel(); i++) {
        struct ingest_layer *layer = &ingest->layers[i];
        if (layer->state != INGEST_HERE)
            continue;
        int r = worker_start(
                ingest->store, layer->blob->digest, layer->fd, layer->diff_id, &layer->worker, err);
        if (r < 0)
            return r;
        layer->state = INGEST_WORKING;
        ingest->working++;
    }
    return 0;
}

size_t ingest_poll(const struct ingest *ingest, struct pollfd *fds)
{
    size_t count = 0;

    for (size_t i = 0; i < ingest->manifest.count && count < INGEST_WORKERS_MAX; i++)
        if (ingest->layers && ingest->layers[i].state == INGEST_WORKING)
            fds[count++] =
                    (struct pollfd){.fd = ingest->layers[i].worker.pipe_fd, .events = POLLIN};
    return count;
}

static void drop_file(struct ingest *ingest, struct ingest_layer *layer)
{
    if (layer->path)
        unlinkat(ingest->store->root_fd, layer->path, 0);
    layer->path = NULL;
    close_file(layer);
}

static int finish_layer(struct ingest *ingest, struct ingest_layer *layer, struct error *err)
{
    ingest->working--;
    int r = worker_finish(ingest->store, &layer->worker, err);
    layer->state = r < 0 ? INGEST_MISSING : INGEST_DONE;
    if (r < 0)
        drop_file(ingest, layer);
    else
        ingest_tell(ingest, IMAGE_DONE, layer->blob->digest, (uint64_t)layer->blob->size,
                (uint64_t)layer->blob->size);
    return r;
}

/* The verified files become blobs: all are flushed, then all are renamed, so that the disk's
 * journal is waited for once and not once for each. */
static int adopt_files(struct ingest *ingest, struct error *err)
{
    size_t count = ingest->layers ? ingest->manifest.count : 0;
    int r = 0;

    for (size_t i = 0; i < count; i++) {
        struct ingest_layer *layer = &ingest->layers[i];
        if (layer->state == INGEST_DONE && layer->fd >= 0 && fsync(layer->fd) < 0)
            return store_advise(ingest->store,
                    error_sys(err, errno, "flush blob %s to the disk", layer->blob->digest), err);
    }
    for (size_t i = 0; i < count && r == 0; i++) {
        struct ingest_layer *layer = &ingest->layers[i];
        if (layer->state != INGEST_DONE || !layer->path)
            continue;
        r = blob_place(ingest->store, layer->path, layer->blob->digest, err);
        if (r == 0)
            layer->path = NULL;
        close_file(layer);
    }
    return r < 0 ? r : blob_sync_folders(ingest->store, err);
}

int ingest_reap(struct ingest *ingest, const struct pollfd *fds, size_t count, struct error *err)
{
    for (size_t k = 0; k < count; k++) {
        if (!fds[k].revents)
            continue;
        for (size_t i = 0; i < ingest->manifest.count; i++) {
            struct ingest_layer *layer = &ingest->layers[i];
            if (layer->state != INGEST_WORKING || layer->worker.pipe_fd != fds[k].fd)
                continue;
            int r = finish_layer(ingest, layer, err);
            if (r < 0)
                return r;
            break;
        }
    }
    return 0;
}

int ingest_wait(struct ingest *ingest, struct error *err)
{
    struct pollfd fds[INGEST_WORKERS_MAX];

    for (;;) {
        int r = ingest_advance(ingest, err);
        size_t count = r < 0 ? 0 : ingest_poll(ingest, fds);
        if (count == 0)
            return r;
        if (poll(fds, count, -1) < 0 && errno != EINTR)
            return error_sys(err, errno, "poll");
        r = ingest_reap(ingest, fds, count, err);
        if (r < 0)
            return r;
    }
}

int64_t ingest_time(const char *text)
{
    struct tm parts = {0};
    int zone_hours = 0;
    int zone_minutes = 0;

    if (!text)
        return 0;
    const char *rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &parts);
    if (!rest)
        return 0;
    if (*rest == '.')
        rest += 1 + strspn(rest + 1, "0123456789");
    if ((*rest == '+' || *rest == '-') &&
            sscanf(rest + 1, "%2d:%2d", &zone_hours, &zone_minutes) != 2)
        return 0;
    int64_t offset = zone_hours * 3600 + zone_minutes * 60;
    return timegm(&parts) - (*rest == '-' ? -offset : offset);
}

static uint64_t unpacked_size(struct ingest *ingest)
{
    uint64_t size = 0;

    for (size_t i = 0; i < ingest->manifest.count; i++) {
        struct shelf_info info;
        if (!came_before(ingest, i) &&
                shelf_has(ingest->store, ingest->layers[i].diff_id, ingest->arena, &info))
            size += info.bytes;
    }
    return size;
}

static int add_image(struct catalog *catalog, struct arena *arena, void *data, struct error *err)
{
    (void)err;
    catalog_add(catalog, arena, data);
    return 0;
}

int ingest_commit(struct ingest *ingest, const struct strv *names, const struct strv *digests,
        char ret_id[IMAGE_ID_SIZE], struct error *err)
{
    char written[DIGEST_SIZE];
    struct platform platform = manifest_config_platform(ingest->config);

    int r = adopt_files(ingest, err);
    if (r == 0)
        r = blob_write(ingest->store, ingest->text, ingest->length, written, err);
    if (r < 0)
        return r;
    struct catalog_image image = {.id = ingest->manifest.config.digest,
            .manifest = ingest->digest,
            .names = *names,
            .digests = *digests,
            .platform = platform_text(&platform, ingest->arena),
            .created = ingest_time(json_get_str(ingest->config, "created")),
            .added = time(NULL),
            .size = unpacked_size(ingest)};
    r = catalog_change(ingest->store, add_image, &image, err);
    if (r == 0)
        snprintf(ret_id, IMAGE_ID_SIZE, "%s", image.id);
    return r;
}

void ingest_free(struct ingest *ingest)
{
    adopt_files(ingest, NULL); /* what is verified need not come again, even if the rest failed */
    for (size_t i = 0; ingest->layers && i < ingest->manifest.count; i++) {
        struct ingest_layer *layer = &ingest->layers[i];
        if (layer->state == INGEST_WORKING)
            worker_cancel(ingest->store, &layer->worker);
        drop_file(ingest, layer);
    }
    if (ingest->config)
        json_object_put(ingest->config);
    ingest->layers = NULL;
    ingest->config = NULL;
}
