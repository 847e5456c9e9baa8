#include "vm/boot/unpack.h"

#include <lz4.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <zlib.h>
#include <zstd.h>

#include "base/cleanup.h"

/* The setup header's fields (Documentation/arch/x86/boot.rst). */
enum {
    SETUP_SECTORS = 0x1f1,
    SETUP_MAGIC = 0x202,
    SETUP_VERSION = 0x206,
    SETUP_PAYLOAD_OFFSET = 0x248,
    SETUP_PAYLOAD_LENGTH = 0x24c,
    SETUP_END = 0x250,
};

#define SETUP_MAGIC_VALUE 0x53726448U /* "HdrS" */
#define LZ4_LEGACY_MAGIC 0x184c2102U
#define LZ4_LEGACY_BLOCK ((size_t)8 << 20)

static uint32_t load32(const uint8_t *at)
{
    uint32_t value;

    memcpy(&value, at, sizeof(value));
    return value;
}

int unpack_map_file(int fd, const char *name, struct unpack_image *ret, struct error *err)
{
    struct stat st;

    if (fstat(fd, &st) < 0)
        return error_sys(err, errno, "fstat %s", name);
    if (!S_ISREG(st.st_mode) || st.st_size == 0)
        return error_set(err, EINVAL, "%s: not a file with content", name);
    if ((uint64_t)st.st_size > UNPACK_MAX)
        return error_set(err, EFBIG, "%s: %lld bytes are more than the %zu MiB that are read", name,
                (long long)st.st_size, UNPACK_MAX >> 20);
    void *data = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (data == MAP_FAILED)
        return error_sys(err, errno, "mmap %s", name);
    *ret = (struct unpack_image){data, (size_t)st.st_size, (size_t)st.st_size};
    return 0;
}

void unpack_free(struct unpack_image *image)
{
    if (image->data)
        munmap(image->data, image->mapped);
    *image = (struct unpack_image){0};
}

/* ---- one function for each packing; each fills `out` and says whether the data was whole ---- */

static bool unpack_lz4(const uint8_t *in, size_t size, struct unpack_image *out)
{
    size_t done = 0;

    for (size_t at = 4; size - at >= 4;) {
        uint32_t packed = load32(in + at);
        size_t room = out->size - done;

        at += 4;
        if (packed == LZ4_LEGACY_MAGIC) /* files may be glued together */
            continue;
        if (packed == 0 || packed > size - at)
            return done == out->size; /* the size field that ends the payload */
        int n = LZ4_decompress_safe((const char *)in + at, (char *)out->data + done, (int)packed,
                (int)(room < LZ4_LEGACY_BLOCK ? room : LZ4_LEGACY_BLOCK));
        if (n < 0)
            return false;
        done += (size_t)n;
        at += packed;
    }
    return done == out->size;
}

static bool unpack_gzip(const uint8_t *in, size_t size, struct unpack_image *out)
{
    z_stream stream = {
            .next_in = (uint8_t *)(uintptr_t)in,
            .avail_in = (unsigned)size,
            .next_out = out->data,
            .avail_out = (unsigned)out->size,
    };

    if (inflateInit2(&stream, 16 + MAX_WBITS) != Z_OK)
        return false;
    int r = inflate(&stream, Z_FINISH);
    inflateEnd(&stream);
    return r == Z_STREAM_END && stream.total_out == out->size;
}

static bool unpack_zstd(const uint8_t *in, size_t size, struct unpack_image *out)
{
    size_t frame = ZSTD_findFrameCompressedSize(in, size);

    if (ZSTD_isError(frame))
        return false;
    size_t n = ZSTD_decompress(out->data, out->size, in, frame);
    return !ZSTD_isError(n) && n == out->size;
}

static bool unpack_copy(const uint8_t *in, size_t size, struct unpack_image *out)
{
    if (size < out->size)
        return false;
    memcpy(out->data, in, out->size);
    return true;
}

static const struct packing {
    const char *name;
    const char *magic;
    size_t length;
    bool (*unpack)(const uint8_t *in, size_t size, struct unpack_image *out); /* NULL: unknown */
} packings[] = {
        {"ELF", "\177ELF", 4, unpack_copy},
        {"LZ4", "\x02\x21\x4c\x18", 4, unpack_lz4},
        {"gzip", "\x1f\x8b\x08", 3, unpack_gzip},
        {"zstd", "\x28\xb5\x2f\xfd", 4, unpack_zstd},
        {"XZ",
                "\xfd"
                "7zXZ",
                5, NULL},
        {"bzip2", "BZh", 3, NULL},
        {"LZMA", "\x5d\x00\x00", 3, NULL},
        {"LZO", "\x89LZO", 4, NULL},
};

static const struct packing *find_packing(const uint8_t *data, size_t size)
{
    for (size_t i = 0; i < ARRAY_SIZE(packings); i++)
        if (size >= packings[i].length && !memcmp(data, packings[i].magic, packings[i].length))
            return &packings[i];
    return NULL;
}

static int unpack_with(const struct packing *packing, const uint8_t *in, size_t size,
        size_t unpacked, const char *name, struct unpack_image *ret, struct error *err)
{
    if (unpacked < 64 || unpacked > UNPACK_MAX)
        return error_set(err, EFBIG,
                "%s: says that it unpacks to %zu bytes; at most %zu MiB are "
                "unpacked",
                name, unpacked, UNPACK_MAX >> 20);
    void *data = mmap(NULL, unpacked, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (data == MAP_FAILED)
        return error_sys(err, errno, "%s: mmap %zu bytes to unpack it", name, unpacked);

    struct unpack_image out = {data, unpacked, unpacked};
    if (!packing->unpack(in, size, &out)) {
        unpack_free(&out);
        return error_set(err, EBADMSG,
                "%s: its %s payload is damaged or cut short; fetch or build "
                "the kernel again",
                name, packing->name);
    }
    *ret = out;
    return 0;
}

int unpack_kernel(const uint8_t *file, size_t size, const char *name, struct unpack_image *ret,
        struct error *err)
{
    const struct packing *packing = find_packing(file, size);

    if (packing && packing->unpack == unpack_copy)
        return unpack_with(packing, file, size, size, name, ret, err);
    if (size < SETUP_END || load32(file + SETUP_MAGIC) != SETUP_MAGIC_VALUE)
        return error_set(err, ENOEXEC,
                "%s: neither a bzImage nor an ELF file; give a Linux kernel "
                "for x86-64 such as Debian's /boot/vmlinuz-…-cloud-amd64",
                name);
    if (file[SETUP_VERSION + 1] < 2 || (file[SETUP_VERSION + 1] == 2 && file[SETUP_VERSION] < 8))
        return error_set(err, ENOEXEC,
                "%s: boot protocol %u.%02u is too old; 2.08 (Linux 2.6.26) "
                "or later is needed",
                name, file[SETUP_VERSION + 1], file[SETUP_VERSION]);

    size_t sectors = file[SETUP_SECTORS] ? file[SETUP_SECTORS] : 4;
    size_t start = (sectors + 1) * 512 + load32(file + SETUP_PAYLOAD_OFFSET);
    size_t length = load32(file + SETUP_PAYLOAD_LENGTH);
    if (length < 8 || start > size || length > size - start)
        return error_set(err, EBADMSG,
                "%s: the file is cut short: %zu bytes, its payload ends at "
                "%zu",
                name, size, start + length);
    packing = find_packing(file + start, length);
    if (!packing || !packing->unpack)
        return error_set(err, ENOEXEC,
                "%s: its payload is packed with %s; LZ4, zstd and gzip are "
                "known here",
                name, packing ? packing->name : "something unknown");
    if (packing->unpack == unpack_copy)
        return unpack_with(packing, file + start, length, length, name, ret, err);
    return unpack_with(
            packing, file + start, length, load32(file + start + length - 4), name, ret, err);
}
