/*
 * A Linux kernel file becomes the ELF image in it: an ELF file as it is, or the payload of a
 * bzImage, unpacked here on the host (LZ4, zstd, gzip), which takes milliseconds where the guest
 * would take seconds. Used by the boot loader only.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#define UNPACK_MAX ((size_t)512 << 20)

/* A mapped image; munmap'ed by unpack_free(). */
struct unpack_image {
    uint8_t *data;
    size_t size;
    size_t mapped;
};

/* Maps the file (privately, read-only). `name` opens error texts. */
int unpack_map_file(int fd, const char *name, struct unpack_image *ret, struct error *err);

/*
 * The ELF inside a kernel file's bytes. -ENOEXEC when it is no kernel, or packed in a way that is
 * not known here; -EFBIG beyond UNPACK_MAX; -EBADMSG when the payload is damaged. On success
 * `*ret` is a mapping of its own, also when the file was an ELF already.
 */
int unpack_kernel(const uint8_t *file, size_t size, const char *name, struct unpack_image *ret,
        struct error *err);

/* Gives the unpacked bytes back. */
void unpack_free(struct unpack_image *image);
#define _cleanup_unpack_ __attribute__((cleanup(unpack_free)))
