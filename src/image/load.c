#include "image/load.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/path.h"
#include "image/blobs.h"
#include "image/bundle.h"
#include "image/codec.h"
#include "image/ingest.h"

#define IMAGES_MAX 1024
#define CONTAINERD_NAME "io.containerd.image.name"

struct loading {
    struct bundle *bundle;
    struct arena *arena;
    const struct platform *platform; /* NULL: any */
    const char *wanted;              /* the name inside that is wanted; NULL: all */
    struct strv *loaded;             /* names or ids */
    image_event_fn event;
    void *data;
    char id[IMAGE_ID_SIZE]; /* of the last one */
};

/* "blobs/sha256/HEX", or in a dir: "HEX". */
static const char *blob_file(const struct loading *l, bool flat, const char *digest)
{
    char path[DIGEST_SIZE];

    digest_to_path(digest, path);
    return flat ? arena_strdup(l->arena, strchr(path, '/') + 1)
                : arena_printf(l->arena, "blobs/%s", path);
}

/* A small blob: verified and kept. */
static int keep_blob(
        struct loading *l, const char *file, const struct descriptor *blob, struct error *err)
{
    const char *path;

    if (blob_present(l->bundle->store, blob->digest, blob->size))
        return 0;
    _cleanup_close_ int fd = bundle_take(l->bundle, file, &path, err);
    if (fd < 0)
        return fd;
    int r = digest_check_fd(fd, blob->digest, err);
    if (r == 0)
        r = blob_adopt(l->bundle->store, fd, path, blob->digest, err);
    if (r < 0)
        unlinkat(l->bundle->store->root_fd, path, 0);
    return r < 0 ? error_prefix(err, "%s: \"%s\" in it", l->bundle->source, file) : 0;
}

static int finish_image(
        struct loading *l, struct ingest *ingest, const struct strv *names, struct error *err)
{
    struct strv none = {0};
    const char *name;

    int r = ingest_wait(ingest, err);
    if (r == 0)
        r = ingest_commit(ingest, names, &none, l->id, err);
    if (r < 0)
        return r;
    strv_foreach (name, names)
        strv_add(l->arena, l->loaded, name);
    if (names->count == 0)
        strv_add(l->arena, l->loaded, l->id);
    return 0;
}

/* Layers' files in the order of the manifest. */
static int take_layers(
        struct loading *l, struct ingest *ingest, const char *const *files, struct error *err)
{
    for (size_t i = 0; i < ingest->manifest.count; i++) {
        const char *path;
        if (ingest->layers[i].state != INGEST_MISSING)
            continue;
        int fd = bundle_take(l->bundle, files[i], &path, err);
        if (fd < 0)
            return fd;
        ingest_deliver(ingest, i, path, fd);
        int r = ingest_advance(ingest, err);
        if (r < 0)
            return r;
    }
    return 0;
}

static int load_manifest(struct loading *l, const struct manifest *manifest, const struct buf *text,
        const char *const *files, const char *config_file, const struct strv *names,
        struct error *err)
{
    _cleanup_ingest_ struct ingest ingest = {0};

    ingest_start(&ingest, l->bundle->store, l->arena, manifest, buf_text(text), text->length);
    ingest.event = l->event;
    ingest.data = l->data;
    int r = keep_blob(l, config_file, &manifest->config, err);
    if (r == 0)
        r = ingest_config(&ingest, l->platform, err);
    if (r == 0)
        r = take_layers(l, &ingest, files, err);
    if (r == 0)
        r = finish_image(l, &ingest, names, err);
    return r;
}

/* The files of a manifest that names its blobs by digest. */
static int load_by_digest(struct loading *l, const struct manifest *manifest,
        const struct buf *text, bool flat, const struct strv *names, struct error *err)
{
    const char **files = arena_new_array(l->arena, const char *, manifest->count + 1);

    for (size_t i = 0; i < manifest->count; i++)
        files[i] = blob_file(l, flat, manifest->items[i].digest);
    return load_manifest(
            l, manifest, text, files, blob_file(l, flat, manifest->config.digest), names, err);
}

/* --- OCI layouts
 * ---------------------------------------------------------------------------------- */

/* The image's own name if it is one, a bare word being a tag: that of a name made of the source's.
 */
static char *layout_name(struct loading *l, const char *inside)
{
    struct reference name;
    const char *base = path_base(l->bundle->source);
    char *lower = arena_strdup(l->arena, base);

    if (inside && strpbrk(inside, ":/") && reference_parse(inside, l->arena, &name, NULL) == 0) {
        if (!name.domain)
            name.domain = "localhost";
        name = reference_complete(&name, l->arena);
        return reference_text(&name, l->arena);
    }
    for (char *c = lower; *c; c++)
        *c = (char)(*c >= 'A' && *c <= 'Z' ? *c + 32 : *c);
    for (size_t i = 0; i < 2; i++) {
        const char *text = inside && i == 0
                                   ? arena_printf(l->arena, "localhost/%s:%s", lower, inside)
                                   : arena_printf(l->arena, "localhost/%s:latest", lower);
        if (reference_parse(text, l->arena, &name, NULL) == 0)
            return reference_text(&name, l->arena);
    }
    return NULL;
}

static int load_descriptor(struct loading *l, const struct descriptor *item, const char *name,
        unsigned depth, struct error *err);

static int load_from_list(struct loading *l, const struct manifest *list, const char *name,
        unsigned depth, struct error *err)
{
    struct platform platform;
    const struct descriptor *chosen;

    int r = l->platform ? 0 : platform_parse(NULL, l->arena, &platform, err);
    if (r == 0)
        r = manifest_choose(list, l->platform ? l->platform : &platform, l->arena, &chosen, err);
    return r < 0 ? r : load_descriptor(l, chosen, name, depth + 1, err);
}

static int load_descriptor(struct loading *l, const struct descriptor *item, const char *name,
        unsigned depth, struct error *err)
{
    _cleanup_buf_ struct buf text = {0};
    struct manifest manifest;
    struct strv names = {0};
    char found[DIGEST_SIZE];

    if (depth > MANIFEST_DEPTH_MAX)
        return error_set(
                err, ELOOP, "lists of manifests are nested more than %d deep", MANIFEST_DEPTH_MAX);
    int r = bundle_read(l->bundle, blob_file(l, false, item->digest), &text, err);
    if (r < 0)
        return r;
    digest_of(buf_text(&text), text.length, found);
    if (!str_equal(found, item->digest))
        return error_set(err, EBADMSG, "wrong digest: the manifest %s has %s", item->digest, found);
    r = manifest_parse(buf_text(&text), text.length, item->media_type, l->arena, &manifest, err);
    if (r < 0)
        return r;
    if (manifest.list)
        return load_from_list(l, &manifest, name, depth, err);
    if (name)
        strv_add(l->arena, &names, name);
    return load_by_digest(l, &manifest, &text, false, &names, err);
}

static bool is_wanted(const struct loading *l, const struct descriptor *item, const char *full)
{
    return !l->wanted || str_equal(l->wanted, item->name) || str_equal(l->wanted, full);
}

/* containerd puts the whole name beside the tag. */
static const char *item_name(struct json_object *index, size_t i, const struct descriptor *item)
{
    struct json_object *json = json_object_array_get_idx(json_get(index, "manifests"), i);
    const char *name = json_get_str(json_get(json, "annotations"), CONTAINERD_NAME);

    return name ? name : item->name;
}

static int load_layout(struct loading *l, struct error *err)
{
    _cleanup_json_ struct json_object *json = NULL;
    struct manifest index;
    struct strv there = {0};
    size_t count = 0;
    int r = bundle_read_json(l->bundle, "index.json", &json, err);

    if (r < 0)
        return r;
    const char *text = json_text(json);
    r = manifest_parse(text, strlen(text), MANIFEST_OCI_INDEX, l->arena, &index, err);
    if (r == 0 && !index.list)
        r = error_set(err, EINVAL, "index.json is not an index");
    for (size_t i = 0; i < index.count && r == 0; i++) {
        struct descriptor *item = &index.items[i];
        const char *inside = item_name(json, i, item);
        const char *name = layout_name(l, inside);
        strv_add(l->arena, &there, inside ? inside : item->digest);
        if (!is_wanted(l, item, name))
            continue;
        /* several without a name are one image for several platforms */
        if (!inside && index.count > 1)
            return load_from_list(l, &index, name, 0, err);
        r = load_descriptor(l, item, name, 0, err);
        count++;
    }
    if (r < 0)
        return error_prefix(err, "%s", l->bundle->source);
    if (count == 0)
        return error_set(err, ENOENT, "%s: there is no image \"%s\" in it; there are: %s",
                l->bundle->source, l->wanted ? l->wanted : "",
                there.count ? strv_join(l->arena, &there, ", ") : "none");
    return 0;
}

/* --- skopeo's dir:
 * --------------------------------------------------------------------------------- */

static int load_dir(struct loading *l, struct error *err)
{
    _cleanup_buf_ struct buf text = {0};
    struct manifest manifest;
    struct strv names = {0};
    int r = bundle_read(l->bundle, "manifest.json", &text, err);

    if (r == 0)
        r = manifest_parse(buf_text(&text), text.length, NULL, l->arena, &manifest, err);
    if (r == 0 && manifest.list)
        r = error_set(err, EPROTONOSUPPORT, "it holds a list of manifests; name one image");
    if (r < 0)
        return error_prefix(err, "%s", l->bundle->source);
    const char *name = layout_name(l, NULL);
    if (name)
        strv_add(l->arena, &names, name);
    return load_by_digest(l, &manifest, &text, true, &names, err);
}

/* --- docker-archive
 * -------------------------------------------------------------------------------- */

/* Digest, size and compression of a file, as the manifest that the archive does not have would give
 * them. */
static int describe(
        struct loading *l, const char *file, bool layer, struct descriptor *ret, struct error *err)
{
    _cleanup_codec_ struct codec_reader *codec = NULL;
    static const enum layer_kind kinds[] = {LAYER_PLAIN, LAYER_GZIP, LAYER_ZSTD};
    struct digest_state state;
    char digest[DIGEST_SIZE];
    char chunk[65536];
    ssize_t got;

    _cleanup_close_ int fd = bundle_open_file(l->bundle, file, err);
    if (fd < 0)
        return fd;
    digest_start(&state, NULL);
    while ((got = read(fd, chunk, sizeof(chunk))) > 0) {
        digest_add(&state, chunk, (size_t)got);
        ret->size += got;
    }
    if (got < 0)
        return error_sys(err, errno, "%s: read \"%s\" in it", l->bundle->source, file);
    digest_end(&state, digest);
    ret->digest = arena_strdup(l->arena, digest);
    if (!layer)
        return 0;
    if (lseek(fd, 0, SEEK_SET) < 0)
        return error_sys(err, errno, "lseek");
    int r = codec_open(fd, UINT64_MAX, &codec, err);
    if (r == 0)
        ret->media_type = manifest_layer_type(kinds[codec_kind(codec)], false);
    return r;
}

/* "a/b:1" as Docker means it: "docker.io/a/b:1". */
static const char *docker_name(struct loading *l, const char *text)
{
    struct reference name;

    if (!text || reference_parse(text, l->arena, &name, NULL) < 0)
        return NULL;
    if (!name.domain)
        name.domain = "docker.io";
    name = reference_complete(&name, l->arena);
    return reference_text(&name, l->arena);
}

static int add_tags(struct loading *l, struct json_object *tags, struct strv *names)
{
    size_t count = json_object_is_type(tags, json_type_array) ? json_object_array_length(tags) : 0;
    int fits = 0;

    for (size_t i = 0; i < count && i < IMAGES_MAX; i++) {
        const char *full =
                docker_name(l, json_object_get_string(json_object_array_get_idx(tags, i)));
        if (!full)
            continue;
        fits |= str_equal(docker_name(l, l->wanted), full);
        strv_add(l->arena, names, full);
    }
    return fits || !l->wanted;
}

static int load_docker_image(
        struct loading *l, struct json_object *item, const struct strv *names, struct error *err)
{
    _cleanup_buf_ struct buf text = {0};
    struct json_object *layers = json_get(item, "Layers");
    const char *config = json_get_str(item, "Config");
    struct manifest manifest = {.media_type = MANIFEST_DOCKER};
    size_t count =
            json_object_is_type(layers, json_type_array) ? json_object_array_length(layers) : 0;
    char *written;

    if (!config || count > MANIFEST_LAYERS_MAX)
        return error_set(err, EINVAL, "%s: manifest.json names no Config, or too many Layers",
                l->bundle->source);
    int r = describe(l, config, false, &manifest.config, err);
    const char **files = arena_new_array(l->arena, const char *, count + 1);
    manifest.items = arena_new_array(l->arena, struct descriptor, count + 1);
    manifest.count = count;
    bool oci = false;
    for (size_t i = 0; i < count && r == 0; i++) {
        const char *file = json_object_get_string(json_object_array_get_idx(layers, i));
        files[i] = arena_strdup(l->arena, file ? file : "");
        r = describe(l, files[i], true, &manifest.items[i], err);
        oci |= r == 0 && manifest_layer_kind(manifest.items[i].media_type) == LAYER_ZSTD;
    }
    if (r == 0)
        r = manifest_write(&manifest, oci, l->arena, &written, err);
    if (r < 0)
        return r;
    text.max = MANIFEST_SIZE_MAX;
    buf_add_str(&text, written);
    return load_manifest(l, &manifest, &text, files, config, names, err);
}

static int load_docker_archive(struct loading *l, struct error *err)
{
    _cleanup_json_ struct json_object *json = NULL;
    size_t loaded = 0;
    int r = bundle_read_json(l->bundle, "manifest.json", &json, err);

    if (r < 0)
        return r;
    if (!json_object_is_type(json, json_type_array))
        return error_set(err, EINVAL, "%s: manifest.json is not a list", l->bundle->source);
    for (size_t i = 0; i < json_object_array_length(json) && i < IMAGES_MAX && r == 0; i++) {
        struct json_object *item = json_object_array_get_idx(json, i);
        struct strv names = {0};
        if (!add_tags(l, json_get(item, "RepoTags"), &names))
            continue;
        r = load_docker_image(l, item, &names, err);
        loaded++;
    }
    if (r == 0 && loaded == 0)
        r = error_set(err, ENOENT, "%s: there is no image \"%s\" in it", l->bundle->source,
                l->wanted ? l->wanted : "");
    return r;
}

/* --- Which of them it is
 * --------------------------------------------------------------------------- */

static int open_source(struct image_store *store, const struct transport_name *source,
        struct arena *arena, struct bundle *ret, struct error *err)
{
    bool standard = str_equal(source->path, "-");
    struct stat st;

    if (!standard && stat(source->path, &st) < 0)
        return error_sys(err, errno, "open %s", source->path);
    if (!standard && S_ISDIR(st.st_mode))
        return bundle_open_folder(store, source->path, arena, ret, err);
    if (source->kind == TRANSPORT_OCI || source->kind == TRANSPORT_DIR)
        return error_sys(err, ENOTDIR, "open the folder %s", source->path);
    _cleanup_close_ int fd =
            standard ? dup(STDIN_FILENO) : open(source->path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return error_sys(err, errno, "open %s", source->path);
    return bundle_open_archive(
            store, fd, standard ? "standard input" : source->path, arena, ret, err);
}

/* Docker's newer archives are both kinds at once: their manifest.json has the names. */
static int load_any(struct loading *l, enum transport kind, bool guess, struct error *err)
{
    if (guess && bundle_has(l->bundle, "manifest.json"))
        kind = bundle_has(l->bundle, "version") ? TRANSPORT_DIR : TRANSPORT_DOCKER_ARCHIVE;
    else if (guess && bundle_has(l->bundle, "index.json"))
        kind = TRANSPORT_OCI;
    else if (guess)
        return error_set(err, EINVAL,
                "%s: not an archive of images: it has neither manifest.json nor index.json (a file "
                "system's tarball is for viv import)",
                l->bundle->source);
    switch (kind) {
    case TRANSPORT_DIR:
        return load_dir(l, err);
    case TRANSPORT_DOCKER_ARCHIVE:
        return load_docker_archive(l, err);
    default:
        return load_layout(l, err);
    }
}

static int load(struct image_store *store, struct loading *l, const struct transport_name *source,
        bool guess, struct error *err)
{
    _cleanup_bundle_ struct bundle bundle = {.fd = -1};

    int r = store_use(store, err);
    if (r < 0)
        return r;
    r = open_source(store, source, l->arena, &bundle, err);
    if (r == 0) {
        l->bundle = &bundle;
        r = load_any(l, source->kind, guess, err);
        bundle_close(&bundle);
    }
    store_release(store);
    image_collect(store, NULL, NULL);
    return r;
}

int load_one(struct image_store *store, const struct transport_name *source,
        const struct platform *platform, const struct image_access *access, char *ret_id,
        struct error *err)
{
    _cleanup_arena_ struct arena arena = {0};
    struct strv loaded = {0};
    struct loading l = {.arena = &arena,
            .platform = platform,
            .wanted = source->name,
            .loaded = &loaded,
            .event = access ? access->event : NULL,
            .data = access ? access->data : NULL};

    int r = load(store, &l, source, false, err);
    if (r == 0)
        snprintf(ret_id, IMAGE_ID_SIZE, "%s", l.id);
    return r;
}

int image_load(struct image_store *store, const char *source, image_event_fn event, void *data,
        struct arena *arena, struct strv *ret_names, struct error *err)
{
    struct transport_name name = {.kind = TRANSPORT_REGISTRY, .path = source};
    struct strv loaded = {0};
    struct loading l = {.arena = arena, .loaded = &loaded, .event = event, .data = data};
    bool guess = strchr(source, ':') == NULL || access(source, F_OK) == 0;
    int r = guess ? 0 : transport_parse(source, arena, &name, err);

    if (r == 0 && !guess && name.kind == TRANSPORT_REGISTRY)
        r = error_sys(err, ENOENT, "open %s", source);
    if (r == 0) {
        l.wanted = name.name;
        r = load(store, &l, &name, guess, err);
    }
    if (r == 0)
        *ret_names = loaded;
    return r;
}
