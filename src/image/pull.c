#include "image/pull.h"

#include <stdio.h>

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "image/blobs.h"
#include "image/catalog.h"
#include "image/client.h"
#include "image/ingest.h"
#include "image/load.h"
#include "image/transport.h"

struct pull {
    struct image_store *store;
    struct arena *arena;
    struct client client;
    const struct reference *name;
    struct platform platform;
    const struct image_access *access;
    struct ingest ingest;
    const char *list_digest; /* of the list that the name means; NULL: it means an image */
    uint32_t first_id;       /* of the requests for layers, one after the other */
    size_t *index_of_id;
    size_t waiting; /* for blobs */
};

static int check_digest(
        const char *text, size_t length, const char *wanted, const char *name, struct error *err)
{
    char found[DIGEST_SIZE];
    struct digest_state state;

    digest_start(&state, wanted);
    digest_add(&state, text, length);
    digest_end(&state, found);
    if (str_equal(found, wanted))
        return 0;
    return error_set(err, EBADMSG, "%s: wrong digest: expected %s, the manifest received has %s",
            name, wanted, found);
}

/* Gets the manifest that `reference` means, down through lists. */
static int get_manifest(struct pull *pull, const char *reference, unsigned depth, struct buf *text,
        struct manifest *ret, struct error *err)
{
    struct wire_message answer;
    const struct descriptor *chosen;
    const char *name = reference_text(pull->name, pull->arena);
    char digest[DIGEST_SIZE];

    if (depth > MANIFEST_DEPTH_MAX)
        return error_set(err, ELOOP, "%s: lists of manifests are nested more than %d deep", name,
                MANIFEST_DEPTH_MAX);
    buf_clear(text);
    int r = client_get_text(
            &pull->client, WIRE_GET_MANIFEST, reference, pull->arena, text, &answer, err);
    if (r == 0 && digest_valid(reference))
        r = check_digest(buf_text(text), text->length, reference, name, err);
    if (r == 0 && digest_valid(answer.digest))
        r = check_digest(buf_text(text), text->length, answer.digest, name, err);
    if (r == 0)
        r = manifest_parse(buf_text(text), text->length, answer.type, pull->arena, ret, err);
    if (r < 0 || !ret->list)
        return r;
    r = manifest_choose(ret, &pull->platform, pull->arena, &chosen, err);
    if (r < 0)
        return error_prefix(err, "%s", name);
    if (depth == 0) {
        digest_of(buf_text(text), text->length, digest);
        pull->list_digest = arena_strdup(pull->arena, digest);
    }
    return get_manifest(pull, chosen->digest, depth + 1, text, ret, err);
}

static int get_config(struct pull *pull, const struct descriptor *config, struct error *err)
{
    struct wire_message request = {.kind = WIRE_GET_BLOB,
            .digest = config->digest,
            .size = (uint64_t)config->size,
            .name = strchr(config->digest, ':') + 1};
    struct wire_message answer;
    const char *path;

    if (blob_present(pull->store, config->digest, config->size))
        return 0;
    client_claim_partial(&pull->client, config->digest);
    int r = client_ask_and_wait(&pull->client, &request, -1, pull->arena, &answer, err);
    if (r < 0)
        return r;
    _cleanup_close_ int fd = client_take_file(&pull->client, request.name, &path, err);
    if (fd < 0)
        return fd;
    r = digest_check_fd(fd, config->digest, err);
    if (r == 0)
        r = blob_adopt(pull->store, fd, path, config->digest, err);
    if (r < 0)
        unlinkat(pull->store->root_fd, path, 0);
    return r < 0 ? error_prefix(err, "the image's configuration") : 0;
}

/* One request for each layer that is missing; blobs that two layers share are asked for once, the
 * manifest's descriptors being compared by digest. */
static int ask_for_layers(struct pull *pull, struct error *err)
{
    struct ingest *ingest = &pull->ingest;
    int r = 0;

    pull->index_of_id = arena_new_array(pull->arena, size_t, ingest->manifest.count + 1);
    pull->first_id = pull->client.next_id;
    for (size_t i = 0; i < ingest->manifest.count && r == 0; i++) {
        const struct descriptor *blob = ingest->layers[i].blob;
        if (ingest->layers[i].state != INGEST_MISSING)
            continue;
        struct wire_message request = {.kind = WIRE_GET_BLOB,
                .digest = blob->digest,
                .size = (uint64_t)blob->size,
                .name = strchr(blob->digest, ':') + 1};
        pull->index_of_id[pull->client.next_id - pull->first_id] = i;
        client_claim_partial(&pull->client, blob->digest);
        ingest_tell(ingest, IMAGE_WAITING, blob->digest, 0, request.size);
        r = client_ask(&pull->client, &request, -1, err);
        pull->waiting++;
    }
    return r;
}

static int take_layer(struct pull *pull, size_t index, struct error *err)
{
    const struct descriptor *blob = pull->ingest.layers[index].blob;
    const char *path;

    int fd = client_take_file(&pull->client, strchr(blob->digest, ':') + 1, &path, err);
    if (fd < 0)
        return fd;
    pull->waiting--;
    ingest_deliver(&pull->ingest, index, path, fd);
    return 0;
}

static int hear(struct pull *pull, struct error *err)
{
    _cleanup_arena_ struct arena arena = {0};
    struct wire_message message;

    int r = client_next(&pull->client, &arena, &message, err);
    if (r < 0)
        return r;
    uint32_t offset = message.id - pull->first_id;
    if (message.id < pull->first_id || offset >= pull->ingest.manifest.count)
        return message.kind == WIRE_FAILED
                       ? error_set(err, message.errnum ? (int)message.errnum : EIO, "%s",
                                 message.text)
                       : 0;
    size_t index = pull->index_of_id[offset];
    const struct descriptor *blob = pull->ingest.layers[index].blob;
    switch (message.kind) {
    case WIRE_PROGRESS:
        ingest_tell(&pull->ingest, IMAGE_LOADING, blob->digest, message.size, (uint64_t)blob->size);
        return 0;
    case WIRE_DONE:
        return take_layer(pull, index, err);
    default:
        error_set(err, message.errnum ? (int)message.errnum : EIO, "%s",
                message.text ? message.text : "failed");
        return store_advise(pull->store, -err->errnum, err);
    }
}

/* Layers come in and are unpacked at the same time. */
static int get_layers(struct pull *pull, struct error *err)
{
    struct pollfd fds[INGEST_WORKERS_MAX + 1];

    int r = ask_for_layers(pull, err);
    while (r == 0 && pull->waiting) {
        r = ingest_advance(&pull->ingest, err);
        size_t count = r < 0 ? 0 : ingest_poll(&pull->ingest, fds);
        fds[count] = (struct pollfd){.fd = pull->client.socket, .events = POLLIN};
        if (r == 0 && poll(fds, count + 1, -1) < 0) {
            if (errno == EINTR)
                continue;
            r = error_sys(err, errno, "poll");
        }
        if (r == 0)
            r = ingest_reap(&pull->ingest, fds, count, err);
        if (r == 0 && fds[count].revents)
            r = hear(pull, err);
    }
    return r < 0 ? r : ingest_wait(&pull->ingest, err);
}

static int commit(struct pull *pull, char *ret_id, struct error *err)
{
    const char *base = reference_name(pull->name, pull->arena);
    struct strv names = {0};
    struct strv digests = {0};

    if (pull->name->tag)
        strv_add(pull->arena, &names, arena_printf(pull->arena, "%s:%s", base, pull->name->tag));
    if (pull->list_digest)
        strv_add(
                pull->arena, &digests, arena_printf(pull->arena, "%s@%s", base, pull->list_digest));
    strv_add(pull->arena, &digests, arena_printf(pull->arena, "%s@%s", base, pull->ingest.digest));
    return ingest_commit(&pull->ingest, &names, &digests, ret_id, err);
}

static int pull_through(struct pull *pull, char *ret_id, struct error *err)
{
    _cleanup_buf_ struct buf text = {.max = MANIFEST_SIZE_MAX + 1};
    struct manifest manifest;
    const char *reference = pull->name->digest ? pull->name->digest : pull->name->tag;

    int r = get_manifest(pull, reference, 0, &text, &manifest, err);
    if (r < 0)
        return r;
    ingest_start(&pull->ingest, pull->store, pull->arena, &manifest, buf_text(&text), text.length);
    pull->ingest.event = pull->access->event;
    pull->ingest.data = pull->access->data;
    r = get_config(pull, &manifest.config, err);
    if (r == 0)
        r = ingest_config(&pull->ingest, &pull->platform, err);
    if (r == 0)
        r = get_layers(pull, err);
    if (r == 0)
        r = commit(pull, ret_id, err);
    ingest_free(&pull->ingest);
    return r;
}

static int pull_one(struct image_store *store, const struct reference *name,
        const struct platform *platform, const struct image_access *access, struct arena *arena,
        char *ret_id, struct error *err)
{
    const struct registries *registries = store_registries(store, err);
    struct registry_endpoint *endpoints;
    size_t count;
    struct pull pull = {
            .store = store, .arena = arena, .name = name, .platform = *platform, .access = access};

    int r = registries
                    ? registries_endpoints(registries, name, false, arena, &endpoints, &count, err)
                    : -EINVAL;
    if (r == 0)
        r = client_start(store, access, &pull.client, err);
    if (r < 0)
        return r;
    r = client_endpoints(&pull.client, endpoints, count, false, arena, err);
    if (r == 0)
        r = pull_through(&pull, ret_id, err);
    pull.client.disk_full = r == -ENOSPC || r == -EDQUOT;
    client_stop(&pull.client);
    return r < 0 ? error_prefix(err, "pull %s", reference_text(name, arena)) : 0;
}

/* What the store has under this name for this platform. */
static bool have(struct image_store *store, const struct reference *name,
        const struct platform *platform, struct arena *arena, char *ret_id)
{
    struct catalog catalog;
    struct catalog_image *image;
    struct platform found;
    const char *matched;

    if (catalog_load(store, arena, &catalog, NULL) < 0 ||
            catalog_find(store, &catalog, reference_text(name, arena), arena, &image, &matched,
                    NULL) < 0 ||
            !matched)
        return false;
    if (platform && (platform_parse(image->platform, arena, &found, NULL) < 0 ||
                            platform_fit(platform, &found) == 0))
        return false;
    snprintf(ret_id, IMAGE_ID_SIZE, "%s", image->id);
    return true;
}

/* Each name that a short one may mean, until one is there. All that was said is kept. */
static int pull_candidates(struct image_store *store, const struct reference *short_name,
        const struct platform *platform, const struct image_access *access, struct arena *arena,
        char *ret_id, struct error *err)
{
    const struct registries *registries = store_registries(store, err);
    struct reference *names;
    struct error all = ERROR_NONE;
    size_t count;

    if (!registries)
        return -EINVAL;
    int r = registries_resolve(registries, short_name, arena, &names, &count, err);
    if (r < 0)
        return r;
    for (size_t i = 0; i < count; i++) {
        struct error one = ERROR_NONE;
        r = pull_one(store, &names[i], platform, access, arena, ret_id, &one);
        if (r == 0)
            return 0;
        if (i == 0)
            all = one;
        else
            error_append(&all, "; %s", one.text);
        if (r == -ENOSPC || r == -EINTR)
            break;
    }
    if (err)
        *err = all;
    return -all.errnum;
}

int pull_from_registry(struct image_store *store, const struct reference *name,
        const struct platform *platform, bool platform_given, enum image_pull_policy policy,
        const struct image_access *access, char *ret_id, struct error *err)
{
    static const struct image_access no_access;
    _cleanup_arena_ struct arena arena = {0};
    bool there = have(store, name, platform_given ? platform : NULL, &arena, ret_id);

    if (policy == IMAGE_PULL_NEVER && !there)
        return error_set(err, ENOENT,
                "no such image: %s (and pulling is not wanted): leave out --pull never, or fetch "
                "it "
                "by `viv pull`",
                reference_text(name, &arena));
    if (there && (policy == IMAGE_PULL_MISSING || policy == IMAGE_PULL_NEVER))
        return 0;
    int r = store_use(store, err);
    if (r < 0)
        return r;
    struct error reason = ERROR_NONE;
    r = pull_candidates(
            store, name, platform, access ? access : &no_access, &arena, ret_id, &reason);
    store_release(store);
    if (r < 0 && there && policy == IMAGE_PULL_NEWER)
        return 0; /* what is here is good enough when nothing newer can be had */
    if (r < 0 && err)
        *err = reason;
    image_collect(store, NULL, NULL);
    return r;
}

int image_pull(struct image_store *store, const char *name, const char *platform,
        enum image_pull_policy policy, const struct image_access *access,
        char ret_id[IMAGE_ID_SIZE], struct error *err)
{
    _cleanup_arena_ struct arena arena = {0};
    struct transport_name source;
    struct platform wanted;

    int r = transport_parse(name, &arena, &source, err);
    if (r == 0)
        r = platform_parse(platform, &arena, &wanted, err);
    if (r < 0)
        return r;
    if (source.kind == TRANSPORT_REGISTRY)
        return pull_from_registry(
                store, &source.reference, &wanted, platform != NULL, policy, access, ret_id, err);
    return load_one(store, &source, platform ? &wanted : NULL, access, ret_id, err);
}
