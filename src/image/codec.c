#include "image/codec.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include "base/cleanup.h"
#include "base/io.h"

#define IN_SIZE ((size_t)256 << 10)
#define OUT_SIZE ((size_t)512 << 10)
#define ZSTD_WINDOW_LOG 27 /* 128 MiB: what a frame may ask of memory */

struct codec_reader {
    int fd;
    enum codec kind;
    uint64_t limit;
    uint64_t total;
    struct digest_state digest;
    char *in;
    size_t in_length;
    size_t in_used;
    bool in_ended;
    bool between; /* no member or frame is open */
    bool begun;   /* one was */
    char *out;
    z_stream gzip;
    ZSTD_DStream *zstd;
};

static int damaged(struct error *err, const char *what, const char *why)
{
    return error_set(
            err, EBADMSG, "the %s data is damaged: %s", what, why ? why : "unknown reason");
}

/* Fills the input buffer again when it is used up. */
static int refill(struct codec_reader *r, struct error *err)
{
    if (r->in_used < r->in_length || r->in_ended)
        return 0;
    ssize_t got;
    do
        got = read(r->fd, r->in, IN_SIZE);
    while (got < 0 && errno == EINTR);
    if (got < 0)
        return error_sys(err, errno, "read");
    r->in_length = (size_t)got;
    r->in_used = 0;
    r->in_ended = got == 0;
    return 0;
}

/* A pipe may give the first bytes one by one. */
static int read_head(struct codec_reader *r, struct error *err)
{
    while (r->in_length < 6) {
        ssize_t got = read(r->fd, r->in + r->in_length, IN_SIZE - r->in_length);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return error_sys(err, errno, "read");
        if (got == 0)
            break;
        r->in_length += (size_t)got;
    }
    return 0;
}

static bool has_magic(const struct codec_reader *r, const char *magic, size_t length)
{
    return r->in_length >= length && memcmp(r->in, magic, length) == 0;
}

static int detect(struct codec_reader *r, struct error *err)
{
    static const struct {
        const char *magic;
        size_t length;
        const char *name;
    } foreign[] = {{"BZh", 3, "bzip2"},
            {"\xfd"
             "7zXZ",
                    5, "xz"},
            {"\x04\"M\x18", 4, "lz4"}};

    if (has_magic(r, "\x1f\x8b", 2))
        r->kind = CODEC_GZIP;
    else if (has_magic(r, "\x28\xb5\x2f\xfd", 4) ||
             (r->in_length >= 4 && memcmp(r->in + 1, "\x2a\x4d\x18", 3) == 0 &&
                     (r->in[0] & 0xf0) == 0x50))
        r->kind = CODEC_ZSTD;
    for (size_t i = 0; i < ARRAY_SIZE(foreign); i++)
        if (has_magic(r, foreign[i].magic, foreign[i].length))
            return error_set(err, EPROTONOSUPPORT,
                    "compressed with %s; layers may be gzip, zstd or not compressed",
                    foreign[i].name);
    return 0;
}

static int start_decoder(struct codec_reader *r, struct error *err)
{
    if (r->kind == CODEC_GZIP && inflateInit2(&r->gzip, 15 + 16) != Z_OK)
        return error_set(err, ENOMEM, "out of memory");
    if (r->kind == CODEC_ZSTD) {
        r->zstd = ZSTD_createDStream();
        if (!r->zstd)
            return error_set(err, ENOMEM, "out of memory");
        ZSTD_DCtx_setParameter(r->zstd, ZSTD_d_windowLogMax, ZSTD_WINDOW_LOG);
    }
    return 0;
}

int codec_open(int fd, uint64_t limit, struct codec_reader **ret, struct error *err)
{
    _cleanup_codec_ struct codec_reader *r = calloc(1, sizeof(*r));

    if (!r)
        return error_set(err, ENOMEM, "out of memory");
    *r = (struct codec_reader){.fd = fd, .limit = limit, .between = true};
    r->in = malloc(IN_SIZE);
    r->out = malloc(OUT_SIZE);
    if (!r->in || !r->out)
        return error_set(err, ENOMEM, "out of memory");
    digest_start(&r->digest, NULL);
    int result = read_head(r, err);
    if (result == 0)
        result = detect(r, err);
    if (result == 0)
        result = start_decoder(r, err);
    if (result == 0)
        *ret = take_ptr(r);
    return result;
}

void codec_close(struct codec_reader *reader)
{
    if (!reader)
        return;
    if (reader->kind == CODEC_GZIP)
        inflateEnd(&reader->gzip);
    ZSTD_freeDStream(reader->zstd);
    free(reader->in);
    free(reader->out);
    free(reader);
}

enum codec codec_kind(const struct codec_reader *reader)
{
    return reader->kind;
}

/* One call of zlib; what it wrote goes to *made. */
static int gzip_step(struct codec_reader *r, size_t *made, struct error *err)
{
    /* what follows the last member is padding (zeros), as gzip(1) takes it */
    if (r->between && r->begun && r->in[r->in_used] != '\x1f') {
        r->in_used = r->in_length;
        return 0;
    }
    if (r->between && r->begun)
        inflateReset(&r->gzip);
    r->between = false;
    r->begun = true;
    r->gzip.next_in = (unsigned char *)r->in + r->in_used;
    r->gzip.avail_in = (unsigned)(r->in_length - r->in_used);
    r->gzip.next_out = (unsigned char *)r->out + *made;
    r->gzip.avail_out = (unsigned)(OUT_SIZE - *made);
    int z = inflate(&r->gzip, Z_NO_FLUSH);
    r->in_used = r->in_length - r->gzip.avail_in;
    *made = OUT_SIZE - r->gzip.avail_out;
    if (z == Z_STREAM_END)
        r->between = true;
    return z == Z_OK || z == Z_STREAM_END || z == Z_BUF_ERROR ? 0
                                                              : damaged(err, "gzip", r->gzip.msg);
}

static int zstd_step(struct codec_reader *r, size_t *made, struct error *err)
{
    ZSTD_inBuffer in = {r->in, r->in_length, r->in_used};
    ZSTD_outBuffer out = {r->out, OUT_SIZE, *made};

    size_t z = ZSTD_decompressStream(r->zstd, &out, &in);
    if (ZSTD_isError(z))
        return damaged(err, "zstd", ZSTD_getErrorName(z));
    r->in_used = in.pos;
    *made = out.pos;
    r->between = z == 0;
    return 0;
}

static ssize_t decode(struct codec_reader *r, struct error *err)
{
    size_t made = 0;

    while (made < OUT_SIZE) {
        int result = refill(r, err);
        if (result < 0)
            return result;
        bool input = r->in_used < r->in_length;
        if (!input && r->between)
            break;
        size_t before = made;
        if (input || r->kind == CODEC_ZSTD)
            result = r->kind == CODEC_GZIP ? gzip_step(r, &made, err) : zstd_step(r, &made, err);
        if (result < 0)
            return result;
        if (!input && made == before)
            return damaged(err, r->kind == CODEC_GZIP ? "gzip" : "zstd", "it ends too early");
    }
    return (ssize_t)made;
}

ssize_t codec_read(struct codec_reader *reader, const void **ret, struct error *err)
{
    ssize_t length;

    if (reader->kind == CODEC_NONE) {
        int r = refill(reader, err);
        if (r < 0)
            return r;
        *ret = reader->in + reader->in_used;
        length = (ssize_t)(reader->in_length - reader->in_used);
        reader->in_used = reader->in_length;
    } else {
        length = decode(reader, err);
        *ret = reader->out;
    }
    if (length <= 0)
        return length;
    reader->total += (uint64_t)length;
    if (reader->total > reader->limit)
        return error_set(err, E2BIG,
                "it unpacks to more than %llu bytes, far more than its size allows: refused as a "
                "decompression bomb",
                (unsigned long long)reader->limit);
    digest_add(&reader->digest, *ret, (size_t)length);
    return length;
}

int codec_finish(struct codec_reader *reader, char digest[DIGEST_SIZE], uint64_t *ret_bytes,
        struct error *err)
{
    const void *piece;
    ssize_t got;

    while ((got = codec_read(reader, &piece, err)) > 0)
        ;
    if (got < 0)
        return (int)got;
    digest_end(&reader->digest, digest);
    *ret_bytes = reader->total;
    return 0;
}

struct packer {
    enum codec codec;
    int in;
    int out;
    struct digest_state digest;
    uint64_t bytes;
    char *in_data;
    char *out_data;
    z_stream gzip;
    ZSTD_CStream *zstd;
};

static int put(struct packer *p, size_t length, struct error *err)
{
    digest_add(&p->digest, p->out_data, length);
    p->bytes += length;
    int r = io_write_all(p->out, p->out_data, length);
    return r < 0 ? error_sys(err, -r, "write the compressed layer") : 0;
}

static int pack_gzip(struct packer *p, size_t length, bool last, struct error *err)
{
    p->gzip.next_in = (unsigned char *)p->in_data;
    p->gzip.avail_in = (unsigned)length;
    do {
        p->gzip.next_out = (unsigned char *)p->out_data;
        p->gzip.avail_out = (unsigned)OUT_SIZE;
        deflate(&p->gzip, last ? Z_FINISH : Z_NO_FLUSH);
        int r = put(p, OUT_SIZE - p->gzip.avail_out, err);
        if (r < 0)
            return r;
    } while (p->gzip.avail_out == 0);
    return 0;
}

static int pack_zstd(struct packer *p, size_t length, bool last, struct error *err)
{
    ZSTD_inBuffer in = {p->in_data, length, 0};
    size_t left;

    do {
        ZSTD_outBuffer out = {p->out_data, OUT_SIZE, 0};
        left = ZSTD_compressStream2(p->zstd, &out, &in, last ? ZSTD_e_end : ZSTD_e_continue);
        if (ZSTD_isError(left))
            return error_set(err, EIO, "zstd: %s", ZSTD_getErrorName(left));
        int r = put(p, out.pos, err);
        if (r < 0)
            return r;
    } while (last ? left != 0 : in.pos < in.size);
    return 0;
}

static int pack_all(struct packer *p, struct error *err)
{
    for (;;) {
        ssize_t got = read(p->in, p->in_data, IN_SIZE);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return error_sys(err, errno, "read the layer");
        bool last = got == 0;
        int r = p->codec == CODEC_GZIP ? pack_gzip(p, (size_t)got, last, err)
                                       : pack_zstd(p, (size_t)got, last, err);
        if (r < 0 || last)
            return r;
    }
}

int codec_compress(int in, int out, enum codec codec, char digest[DIGEST_SIZE], uint64_t *ret_bytes,
        struct error *err)
{
    _cleanup_free_ char *in_data = malloc(IN_SIZE);
    _cleanup_free_ char *out_data = malloc(OUT_SIZE);
    struct packer p = {
            .codec = codec, .in = in, .out = out, .in_data = in_data, .out_data = out_data};
    int r;

    if (!in_data || !out_data)
        return error_set(err, ENOMEM, "out of memory");
    digest_start(&p.digest, NULL);
    if (codec == CODEC_GZIP) {
        if (deflateInit2(&p.gzip, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK)
            return error_set(err, ENOMEM, "out of memory");
        r = pack_all(&p, err);
        deflateEnd(&p.gzip);
    } else {
        p.zstd = ZSTD_createCStream();
        r = p.zstd ? pack_all(&p, err) : error_set(err, ENOMEM, "out of memory");
        ZSTD_freeCStream(p.zstd);
    }
    digest_end(&p.digest, digest);
    *ret_bytes = p.bytes;
    return r;
}
