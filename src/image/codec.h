/*
 * Layers' compressions: gzip (several members too), zstd (several frames, and skippable ones) and
 * none, told apart by their first bytes. Memory is constant, output is capped.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "image/digest.h"

enum codec { CODEC_NONE, CODEC_GZIP, CODEC_ZSTD };

struct codec_reader;

/*
 * Reads from the descriptor's position on; it stays the caller's. At most `limit` bytes come out:
 * beyond, reading fails with -E2BIG. -EPROTONOSUPPORT names a compression that is not one of ours.
 */
int codec_open(int fd, uint64_t limit, struct codec_reader **ret, struct error *err);
void codec_close(struct codec_reader *reader); /* NULL is fine */

/* The next piece, valid until the next call. Returns its length, 0 at the end. -EBADMSG: the data
 * is damaged, or ends too early. */
ssize_t codec_read(struct codec_reader *reader, const void **ret, struct error *err);

/* Reads what is left, then the digest and the number of all the bytes that came out. */
int codec_finish(struct codec_reader *reader, char digest[DIGEST_SIZE], uint64_t *ret_bytes,
        struct error *err);

/* The compression that was found in the first bytes. */
enum codec codec_kind(const struct codec_reader *reader);

static inline void cleanup_codec(struct codec_reader **reader)
{
    codec_close(*reader);
}
#define _cleanup_codec_ __attribute__((cleanup(cleanup_codec)))

/* Compresses all of one file into another; digest and size are those of the output. */
int codec_compress(int in, int out, enum codec codec, char digest[DIGEST_SIZE], uint64_t *ret_bytes,
        struct error *err);
