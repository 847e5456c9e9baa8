#include "image/image.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "image/blobs.h"
#include "image/client.h"
#include "image/outgoing.h"
#include "image/save.h"
#include "image/transport.h"

struct push {
    struct image_store *store;
    struct arena *arena;
    struct client client;
    const struct outgoing *image;
    const struct reference *to;
    const struct image_access *access;
    const struct descriptor **blobs; /* each once */
    size_t count;
    uint32_t first_id;
};

static void tell(const struct push *push, enum image_state state, const struct descriptor *blob,
        uint64_t done)
{
    struct image_event event = {
            .state = state, .digest = blob->digest, .done = done, .total = (uint64_t)blob->size};

    if (push->access->event)
        push->access->event(&event, push->access->data);
}

static void add_blob(struct push *push, const struct descriptor *blob)
{
    for (size_t i = 0; i < push->count; i++)
        if (str_equal(push->blobs[i]->digest, blob->digest))
            return;
    push->blobs[push->count++] = blob;
}

/* Another repository of the same registry that the image came from: the registry can link its blobs
 * instead of taking them again. */
static const char *mount_source(const struct push *push)
{
    const struct strv *digests = &push->image->image.digests;

    for (size_t i = 0; i < digests->count; i++) {
        struct reference from;
        if (reference_parse(digests->words[i], push->arena, &from, NULL) == 0 &&
                str_equal(from.domain, push->to->domain) && !str_equal(from.path, push->to->path))
            return from.path;
    }
    return NULL;
}

static int offer_blobs(struct push *push, struct error *err)
{
    const char *mount = mount_source(push);
    int r = 0;

    push->first_id = push->client.next_id;
    for (size_t i = 0; i < push->count && r == 0; i++) {
        const struct descriptor *blob = push->blobs[i];
        struct wire_message request = {.kind = WIRE_PUT_BLOB,
                .digest = blob->digest,
                .size = (uint64_t)blob->size,
                .reference = mount};
        _cleanup_close_ int fd = blob_open(push->store, blob->digest, err);
        if (fd < 0)
            return fd;
        tell(push, IMAGE_WAITING, blob, 0);
        r = client_ask(&push->client, &request, fd, err);
    }
    return r;
}

static int send_blobs(struct push *push, struct error *err)
{
    size_t left = push->count;

    int r = offer_blobs(push, err);
    while (r == 0 && left) {
        _cleanup_arena_ struct arena arena = {0};
        struct wire_message message;
        r = client_next(&push->client, &arena, &message, err);
        if (r < 0)
            return r;
        if (message.kind == WIRE_FAILED)
            return error_set(err, message.errnum ? (int)message.errnum : EIO, "%s", message.text);
        uint32_t offset = message.id - push->first_id;
        if (message.id < push->first_id || offset >= push->count)
            continue;
        const struct descriptor *blob = push->blobs[offset];
        if (message.kind == WIRE_PROGRESS) {
            tell(push, IMAGE_LOADING, blob, message.size);
        } else if (message.kind == WIRE_DONE) {
            tell(push, message.present ? IMAGE_PRESENT : IMAGE_DONE, blob, (uint64_t)blob->size);
            left--;
        }
    }
    return r;
}

static int send_manifest(struct push *push, struct error *err)
{
    const struct outgoing *image = push->image;
    struct wire_message answer;
    struct wire_message request = {.kind = WIRE_PUT_MANIFEST,
            .reference = push->to->tag ? push->to->tag : image->digest,
            .type = image->manifest.media_type,
            .size = image->length};

    _cleanup_close_ int fd = memfd_create("manifest", MFD_CLOEXEC);
    if (fd < 0)
        return error_sys(err, errno, "memfd_create");
    int r = io_write_all(fd, image->text, image->length);
    if (r < 0)
        return error_sys(err, -r, "write the manifest");
    return client_ask_and_wait(&push->client, &request, fd, push->arena, &answer, err);
}

struct remembering {
    struct image_store *store;
    const char *id;
    const char *digest; /* "name@sha256:…" */
};

static int remember_digest(
        struct catalog *catalog, struct arena *arena, void *data, struct error *err)
{
    const struct remembering *remembering = data;
    struct catalog_image *image = catalog_by_id(catalog, remembering->id);

    (void)err;
    if (!image || strv_contains(&image->digests, remembering->digest))
        return 1;
    strv_add(arena, &image->digests, remembering->digest);
    return 0;
}

static int push_through(struct push *push, struct error *err)
{
    const struct manifest *manifest = &push->image->manifest;

    push->blobs = arena_new_array(push->arena, const struct descriptor *, manifest->count + 1);
    for (size_t i = 0; i < manifest->count; i++)
        add_blob(push, &manifest->items[i]);
    add_blob(push, &manifest->config);
    int r = send_blobs(push, err);
    if (r == 0)
        r = send_manifest(push, err);
    if (r < 0)
        return r;
    struct remembering remembering = {push->store, push->image->image.id,
            arena_printf(push->arena, "%s@%s", reference_name(push->to, push->arena),
                    push->image->digest)};
    return catalog_change(push->store, remember_digest, &remembering, err);
}

static int push_to_registry(struct image_store *store, const struct outgoing *image,
        const struct reference *to, const struct image_access *access, struct arena *arena,
        struct error *err)
{
    const struct registries *registries = store_registries(store, err);
    struct registry_endpoint *endpoints;
    size_t count;
    struct push push = {.store = store, .arena = arena, .image = image, .to = to, .access = access};

    int r = registries ? registries_endpoints(registries, to, true, arena, &endpoints, &count, err)
                       : -EINVAL;
    if (r == 0)
        r = client_start(store, access, &push.client, err);
    if (r < 0)
        return r;
    r = client_endpoints(&push.client, endpoints, count, true, arena, err);
    if (r == 0)
        r = push_through(&push, err);
    client_stop(&push.client);
    return r;
}

static int push(struct image_store *store, const char *image, const struct transport_name *to,
        const struct image_push_options *options, const struct image_access *access,
        struct arena *arena, char *ret_digest, struct error *err)
{
    _cleanup_outgoing_ struct outgoing outgoing = {0};
    struct reference name = to->reference;

    if (to->kind != TRANSPORT_REGISTRY)
        return save_one(store, image, to, options, ret_digest, err);
    if (!name.domain) /* pushing never guesses between several registries */
        name.domain = "docker.io";
    name = reference_complete(&name, arena);
    int r = outgoing_prepare(store, image, options, true, arena, &outgoing, err);
    if (r == 0)
        r = push_to_registry(store, &outgoing, &name, access, arena, err);
    if (r < 0)
        return error_prefix(err, "push %s to %s", image, reference_text(&name, arena));
    snprintf(ret_digest, IMAGE_ID_SIZE, "%s", outgoing.digest);
    return 0;
}

int image_push(struct image_store *store, const char *image, const char *destination,
        const struct image_push_options *options, const struct image_access *access,
        char ret_digest[IMAGE_ID_SIZE], struct error *err)
{
    static const struct image_access no_access;
    _cleanup_arena_ struct arena arena = {0};
    struct transport_name to;

    int r = transport_parse(destination, &arena, &to, err);
    if (r == 0)
        r = store_use(store, err);
    if (r < 0)
        return r;
    r = push(store, image, &to, options, access ? access : &no_access, &arena, ret_digest, err);
    store_release(store);
    image_collect(store, NULL, NULL);
    return r;
}
