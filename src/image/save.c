#include "image/save.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/json.h"
#include "image/blobs.h"
#include "image/codec.h"
#include "image/outgoing.h"
#include "image/shelf.h"
#include "image/tarout.h"

#define CHUNK ((size_t)256 << 10)
#define OCI_LAYOUT "{\"imageLayoutVersion\":\"1.0.0\"}"
#define DIR_VERSION "Directory Transport Version: 1.1\n"

/* Where files go: a folder or an archive. */
struct output {
    struct image_store *store;
    struct arena *arena;
    int dirfd;          /* -1: an archive */
    struct tarout *tar; /* NULL: a folder */
    struct strv written;
};

static int put_text(struct output *o, const char *path, const char *text, struct error *err)
{
    if (o->tar)
        return tarout_add_text(o->tar, path, text, strlen(text), err);
    int r = io_replace_file_at(o->dirfd, path, text, strlen(text), 0644, false);
    return r < 0 ? error_sys(err, -r, "write %s", path) : 0;
}

static int put_folder(struct output *o, const char *path, struct error *err)
{
    if (o->tar)
        return tarout_add_folder(o->tar, path, err);
    int r = io_make_dirs_at(o->dirfd, path, 0755);
    return r < 0 ? error_sys(err, -r, "make the folder %s", path) : 0;
}

static int copy_to_folder(struct output *o, const char *path, int from, struct error *err)
{
    _cleanup_free_ char *chunk = malloc(CHUNK);
    ssize_t got;

    _cleanup_close_ int to =
            openat(o->dirfd, path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0644);
    if (to < 0 || !chunk)
        return error_sys(err, to < 0 ? errno : ENOMEM, "write %s", path);
    while ((got = read(from, chunk, CHUNK)) != 0) {
        int r = got < 0 ? -errno : io_write_all(to, chunk, (size_t)got);
        if (r < 0)
            return error_sys(err, -r, "write %s", path);
    }
    return 0;
}

static int put_blob(struct output *o, const char *path, const char *digest, struct error *err)
{
    struct stat st;

    if (strv_contains(&o->written, path))
        return 0;
    strv_add(o->arena, &o->written, path);
    _cleanup_close_ int fd = blob_open(o->store, digest, err);
    if (fd < 0)
        return fd;
    if (fstat(fd, &st) < 0)
        return error_sys(err, errno, "stat");
    return o->tar ? tarout_add_fd(o->tar, path, fd, (uint64_t)st.st_size, err)
                  : copy_to_folder(o, path, fd, err);
}

/* --- OCI layout
 * ------------------------------------------------------------------------------------ */

static const char *layout_path(struct output *o, const char *digest)
{
    char path[DIGEST_SIZE];

    digest_to_path(digest, path);
    return arena_printf(o->arena, "blobs/%s", path);
}

static int put_layout_image(struct output *o, const struct outgoing *image, struct error *err)
{
    int r = put_blob(
            o, layout_path(o, image->manifest.config.digest), image->manifest.config.digest, err);

    for (size_t i = 0; i < image->manifest.count && r == 0; i++)
        r = put_blob(o, layout_path(o, image->manifest.items[i].digest),
                image->manifest.items[i].digest, err);
    const char *path = layout_path(o, image->digest);
    if (r < 0 || strv_contains(&o->written, path))
        return r;
    strv_add(o->arena, &o->written, path);
    return put_text(o, path, image->text, err);
}

static struct json_object *index_item(const struct outgoing *image, const char *name)
{
    struct json_object *item = json_object_new_object();
    struct json_object *platform = json_object_new_object();

    json_add_str(item, "mediaType", image->manifest.media_type);
    json_add_str(item, "digest", image->digest);
    json_object_object_add(item, "size", json_object_new_int64((int64_t)image->length));
    json_add_str(platform, "architecture", json_get_str(image->content.config, "architecture"));
    json_add_str(platform, "os", json_get_str(image->content.config, "os"));
    json_add_str(platform, "variant", json_get_str(image->content.config, "variant"));
    json_object_object_add(item, "platform", platform);
    if (name) {
        struct json_object *annotations = json_object_new_object();
        json_add_str(annotations, "org.opencontainers.image.ref.name", name);
        json_object_object_add(item, "annotations", annotations);
    }
    return item;
}

/* What an existing layout has by other names stays. */
static struct json_object *open_index(struct output *o, const char *name)
{
    struct json_object *index = NULL;
    struct json_object *kept = json_object_new_array();

    if (!o->tar)
        json_parse_file_at(o->dirfd, "index.json", &index, NULL);
    struct json_object *there = json_get(index, "manifests");
    size_t count =
            json_object_is_type(there, json_type_array) ? json_object_array_length(there) : 0;
    for (size_t i = 0; i < count; i++) {
        struct json_object *item = json_object_array_get_idx(there, i);
        const char *own =
                json_get_str(json_get(item, "annotations"), "org.opencontainers.image.ref.name");
        if (own && !str_equal(own, name))
            json_object_array_add(kept, json_object_get(item));
    }
    if (index)
        json_object_put(index);
    return kept;
}

static int put_layout(struct output *o, const struct outgoing *images, const char *const *names,
        size_t count, struct error *err)
{
    _cleanup_json_ struct json_object *index = json_object_new_object();
    struct json_object *list = open_index(o, count ? names[0] : NULL);

    json_object_object_add(index, "schemaVersion", json_object_new_int(2));
    json_add_str(index, "mediaType", MANIFEST_OCI_INDEX);
    json_object_object_add(index, "manifests", list);
    int r = put_text(o, "oci-layout", OCI_LAYOUT, err);
    if (r == 0)
        r = put_folder(o, "blobs", err);
    if (r == 0)
        r = put_folder(o, "blobs/sha256", err);
    for (size_t i = 0; i < count && r == 0; i++) {
        r = put_layout_image(o, &images[i], err);
        json_object_array_add(list, index_item(&images[i], names[i]));
    }
    return r < 0 ? r : put_text(o, "index.json", json_text(index), err);
}

/* --- docker-archive
 * ---------------------------------------------------------------------------------- */

/* Layers go uncompressed, as `docker load` of any age takes them. */
static int put_plain_layer(struct output *o, const struct outgoing *image, size_t index,
        const char *path, struct error *err)
{
    _cleanup_codec_ struct codec_reader *codec = NULL;
    struct shelf_info info;

    if (strv_contains(&o->written, path))
        return 0;
    strv_add(o->arena, &o->written, path);
    if (!shelf_has(o->store, image->content.diff_ids[index], o->arena, &info))
        return error_set(err, ENOENT, "layer %s is not unpacked (viv system check --repair)",
                image->content.diff_ids[index]);
    _cleanup_close_ int fd = blob_open(o->store, image->content.manifest.items[index].digest, err);
    if (fd < 0)
        return fd;
    int r = codec_open(fd, info.tar_bytes, &codec, err);
    return r < 0 ? r : tarout_add_codec(o->tar, path, codec, info.tar_bytes, err);
}

static int put_docker_image(struct output *o, const struct outgoing *image, const char *name,
        struct json_object *list, struct error *err)
{
    struct json_object *item = json_object_new_object();
    struct json_object *layers = json_object_new_array();
    struct json_object *tags = json_object_new_array();
    const char *config = arena_printf(o->arena, "%s.json", strchr(image->image.id, ':') + 1);

    int r = put_blob(o, config, image->manifest.config.digest, err);
    for (size_t i = 0; i < image->manifest.count && r == 0; i++) {
        const char *path =
                arena_printf(o->arena, "%s.tar", strchr(image->content.diff_ids[i], ':') + 1);
        r = put_plain_layer(o, image, i, path, err);
        json_object_array_add(layers, json_object_new_string(path));
    }
    if (name)
        json_object_array_add(tags, json_object_new_string(name));
    json_add_str(item, "Config", config);
    json_object_object_add(item, "RepoTags", tags);
    json_object_object_add(item, "Layers", layers);
    json_object_array_add(list, item);
    return r;
}

static int put_docker_archive(struct output *o, const struct outgoing *images,
        const char *const *names, size_t count, struct error *err)
{
    _cleanup_json_ struct json_object *list = json_object_new_array();
    int r = 0;

    for (size_t i = 0; i < count && r == 0; i++)
        r = put_docker_image(o, &images[i], names[i], list, err);
    return r < 0 ? r : put_text(o, "manifest.json", json_text(list), err);
}

/* --- dir:
 * -------------------------------------------------------------------------------------------- */

static int put_dir(struct output *o, const struct outgoing *images, const char *const *names,
        size_t count, struct error *err)
{
    const struct outgoing *image = &images[0];

    (void)names;
    if (count != 1)
        return error_set(err, EINVAL, "a dir: holds one image, not %zu", count);
    int r = put_text(o, "version", DIR_VERSION, err);
    if (r == 0)
        r = put_blob(o, strchr(image->manifest.config.digest, ':') + 1,
                image->manifest.config.digest, err);
    for (size_t i = 0; i < image->manifest.count && r == 0; i++)
        r = put_blob(o, strchr(image->manifest.items[i].digest, ':') + 1,
                image->manifest.items[i].digest, err);
    return r < 0 ? r : put_text(o, "manifest.json", image->text, err);
}

/* --- All of them
 * -------------------------------------------------------------------------------------- */

static const struct format {
    const char *name;
    enum transport kind;
    bool archive;
    int (*put)(struct output *o, const struct outgoing *images, const char *const *names,
            size_t count, struct error *err);
} formats[] = {
        {"docker-archive", TRANSPORT_DOCKER_ARCHIVE, true, put_docker_archive},
        {"oci-archive", TRANSPORT_OCI_ARCHIVE, true, put_layout},
        {"oci-dir", TRANSPORT_OCI, false, put_layout},
        {"docker-dir", TRANSPORT_DIR, false, put_dir},
};

static int write_archive(struct output *o, const struct format *format, int fd,
        const struct outgoing *images, const char *const *names, size_t count, struct error *err)
{
    int r = tarout_open(fd, &o->tar, err);

    if (r == 0)
        r = format->put(o, images, names, count, err);
    if (r == 0)
        r = tarout_finish(o->tar, NULL, NULL, err);
    tarout_close(o->tar);
    return r;
}

/* An archive by name appears when it is complete, or not at all. */
static int write_archive_file(struct output *o, const struct format *format, const char *path,
        const struct outgoing *images, const char *const *names, size_t count, struct error *err)
{
    const char *temporary = arena_printf(o->arena, "%s.%d~", path, getpid());

    if (access(path, F_OK) == 0)
        return error_set(err, EEXIST, "%s exists already; archives are not added to", path);
    _cleanup_close_ int fd =
            open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0644);
    if (fd < 0)
        return error_sys(err, errno, "make %s", path);
    int r = write_archive(o, format, fd, images, names, count, err);
    if (r == 0 && rename(temporary, path) < 0)
        r = error_sys(err, errno, "rename to %s", path);
    if (r < 0)
        unlink(temporary);
    return r;
}

static int write_folder(struct output *o, const struct format *format, const char *path,
        const struct outgoing *images, const char *const *names, size_t count, struct error *err)
{
    int r = io_make_dirs_at(AT_FDCWD, path, 0755);

    if (r < 0)
        return error_sys(err, -r, "make the folder %s", path);
    o->dirfd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (o->dirfd < 0)
        return error_sys(err, errno, "open the folder %s", path);
    r = format->put(o, images, names, count, err);
    close(o->dirfd);
    return r;
}

static int write_images(struct image_store *store, const struct format *format, const char *path,
        int fd, const struct outgoing *images, const char *const *names, size_t count,
        struct arena *arena, struct error *err)
{
    struct output o = {.store = store, .arena = arena, .dirfd = -1};

    if (!format->archive)
        return path ? write_folder(&o, format, path, images, names, count, err)
                    : error_set(err, EINVAL, "%s needs the name of a folder", format->name);
    return path ? write_archive_file(&o, format, path, images, names, count, err)
                : write_archive(&o, format, fd, images, names, count, err);
}

static int save_all(struct image_store *store, const struct strv *list, const struct format *format,
        const char *path, int fd, struct arena *arena, struct error *err)
{
    struct outgoing *images = arena_new_array(arena, struct outgoing, list->count + 1);
    const char **names = arena_new_array(arena, const char *, list->count + 1);
    size_t count = 0;
    int r = 0;

    for (; count < list->count && r == 0; count++) {
        struct outgoing *image = &images[count];
        r = outgoing_prepare(store, list->words[count], NULL, false, arena, image, err);
        if (r < 0)
            break;
        bool by_id = str_starts(strchr(image->image.id, ':') + 1, list->words[count]);
        names[count] = image->image.names.count ? image->image.names.words[0] : NULL;
        for (size_t i = 0; i < image->image.names.count && !by_id; i++)
            if (str_ends(image->image.names.words[i], list->words[count]))
                names[count] = image->image.names.words[i];
    }
    if (r == 0)
        r = write_images(store, format, path, fd, images, names, count, arena, err);
    for (size_t i = 0; i < count; i++)
        outgoing_free(&images[i]);
    return r;
}

int image_save(struct image_store *store, const struct strv *images, const char *format,
        const char *path, int fd, struct error *err)
{
    _cleanup_arena_ struct arena arena = {0};

    for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
        if (!str_equal(formats[i].name, format))
            continue;
        int r = store_use(store, err);
        if (r < 0)
            return r;
        r = save_all(store, images, &formats[i], path, fd, &arena, err);
        store_release(store);
        return r;
    }
    return error_set(err, EINVAL,
            "\"%s\" is no format; there are docker-archive, oci-archive, oci-dir and docker-dir",
            format);
}

int save_one(struct image_store *store, const char *image, const struct transport_name *to,
        const struct image_push_options *options, char *ret_digest, struct error *err)
{
    _cleanup_arena_ struct arena arena = {0};
    _cleanup_outgoing_ struct outgoing outgoing = {0};
    bool oci = to->kind == TRANSPORT_OCI || to->kind == TRANSPORT_OCI_ARCHIVE;
    struct image_push_options chosen = options ? *options : (struct image_push_options){0};
    const char *name = to->name;

    if (!chosen.format && oci)
        chosen.format = "oci";
    /* skopeo writes blobs compressed into folders, and so do we; archives for docker are plain */
    bool compress = to->kind != TRANSPORT_DOCKER_ARCHIVE;
    int r = outgoing_prepare(store, image, &chosen, compress, &arena, &outgoing, err);
    for (size_t i = 0; r == 0 && i < ARRAY_SIZE(formats); i++)
        if (formats[i].kind == to->kind)
            r = write_images(store, &formats[i], to->path, -1, &outgoing, &name, 1, &arena, err);
    if (r == 0)
        snprintf(ret_digest, IMAGE_ID_SIZE, "%s", outgoing.digest);
    return r < 0 ? error_prefix(err, "%s", to->text) : 0;
}
