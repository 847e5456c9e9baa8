#include "image/outgoing.h"

#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "image/blobs.h"
#include "image/codec.h"

static int compress_layer(struct image_store *store, const struct descriptor *from,
        enum codec codec, bool oci, struct arena *arena, struct descriptor *ret, struct error *err)
{
    const char *path;
    char digest[DIGEST_SIZE];
    uint64_t bytes;

    _cleanup_close_ int in = blob_open(store, from->digest, err);
    if (in < 0)
        return in;
    _cleanup_close_ int out = store_make_file(store, &path, err);
    if (out < 0)
        return out;
    int r = store_advise(store, codec_compress(in, out, codec, digest, &bytes, err), err);
    if (r == 0)
        r = blob_adopt(store, out, path, digest, err);
    if (r < 0) {
        unlinkat(store->root_fd, path, 0);
        return r;
    }
    *ret = (struct descriptor){
            .media_type = manifest_layer_type(codec == CODEC_ZSTD ? LAYER_ZSTD : LAYER_GZIP, oci),
            .digest = arena_strdup(arena, digest),
            .size = (int64_t)bytes};
    return 0;
}

struct choice {
    bool oci;
    enum codec codec;
};

static int choose(const struct outgoing *o, const struct image_push_options *options,
        struct choice *ret, struct error *err)
{
    const char *format = options ? options->format : NULL;
    const char *compression = options ? options->compression : NULL;
    struct choice choice = {str_equal(o->content.manifest.media_type, MANIFEST_OCI), CODEC_GZIP};

    if (str_equal(format, "oci") || str_equal(format, "v2s2"))
        choice.oci = str_equal(format, "oci");
    else if (format)
        return error_set(err, EINVAL, "\"%s\" is no format; there are oci and v2s2", format);
    if (str_equal(compression, "zstd"))
        choice.codec = CODEC_ZSTD;
    else if (compression && !str_equal(compression, "gzip"))
        return error_set(
                err, EINVAL, "\"%s\" is no compression; there are gzip and zstd", compression);
    *ret = choice;
    return 0;
}

static int rewrite(struct image_store *store, struct outgoing *o, const struct choice *choice,
        bool compress, struct arena *arena, struct error *err)
{
    char *text;
    int r = 0;

    o->manifest.items = arena_new_array(arena, struct descriptor, o->manifest.count + 1);
    for (size_t i = 0; i < o->manifest.count && r == 0; i++) {
        const struct descriptor *from = &o->content.manifest.items[i];
        o->manifest.items[i] = *from;
        if (compress && manifest_layer_kind(from->media_type) == LAYER_PLAIN)
            r = compress_layer(
                    store, from, choice->codec, choice->oci, arena, &o->manifest.items[i], err);
    }
    if (r == 0)
        r = manifest_write(&o->manifest, choice->oci, arena, &text, err);
    if (r == 0)
        r = manifest_parse(text, strlen(text), NULL, arena, &o->manifest, err);
    if (r < 0)
        return r;
    o->text = text;
    o->length = strlen(text);
    return 0;
}

int outgoing_prepare(struct image_store *store, const char *image,
        const struct image_push_options *options, bool compress, struct arena *arena,
        struct outgoing *ret, struct error *err)
{
    struct outgoing o = {0};
    struct choice choice = {0};
    bool plain = false;

    int r = content_find(store, image, arena, &o.image, &o.content, err);
    if (r == 0)
        r = choose(&o, options, &choice, err);
    if (r < 0) {
        outgoing_free(&o);
        return r;
    }
    o.manifest = o.content.manifest;
    o.text = o.content.text;
    o.length = o.content.length;
    for (size_t i = 0; i < o.manifest.count; i++)
        plain |= manifest_layer_kind(o.manifest.items[i].media_type) == LAYER_PLAIN;
    bool other_format = choice.oci != str_equal(o.content.manifest.media_type, MANIFEST_OCI);
    if (other_format || (compress && plain))
        r = rewrite(store, &o, &choice, compress, arena, err);
    if (r < 0) {
        outgoing_free(&o);
        return r;
    }
    digest_of(o.text, o.length, o.digest);
    *ret = o;
    return 0;
}

void outgoing_free(struct outgoing *outgoing)
{
    content_free(&outgoing->content);
}
